// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

// childEnv has the program of a test do another process's part: NAME|ARGUMENT….
const childEnv = "CINDERLIB_VM_CHILD"

var children = map[string]func(ctx context.Context, args []string) error{
	"verb": killedInVerb,
	"work": workOnMany,
}

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		args := strings.Split(spec, "|")
		if err := children[args[0]](context.Background(), args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
