// SPDX-License-Identifier: Apache-2.0

package fakeceph_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/cephtest"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/fakeceph"
)

func TestContract(t *testing.T) {
	t.Parallel()
	for name, v2 := range map[string]bool{"CloneV1": false, "CloneV2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := fakeceph.New(fakeceph.Options{CloneV2: v2})
			cephtest.Run(t, cephtest.Harness{
				New: func(t *testing.T) (ceph.Cluster, string) {
					c, err := cluster.Connect(t.Context(), "cinder")
					require.NoError(t, err)
					return c, "volumes"
				},
				CloneV2: v2,
				Pass:    cluster.Advance,
			})
		})
	}
}
