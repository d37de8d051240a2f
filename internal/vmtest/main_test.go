// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/gocinder/cinderlib/internal/libtest"
)

// children are the parts that other processes play. A job is NAME|ARGUMENT….
var children = map[string]func(ctx context.Context, args []string) error{
	"verb": killedInVerb,
	"work": workOnMany,
}

func TestMain(m *testing.M) {
	os.Exit(libtest.Main(m, func(ctx context.Context, job string) error {
		args := strings.Split(job, "|")
		return children[args[0]](ctx, args[1:])
	}))
}
