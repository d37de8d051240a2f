// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	_ "embed"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

//go:embed arrays.yaml
var arraysYAML []byte

// TestArrays runs what needs no attaching on the backends of arrays.yaml, with
// simulated arrays of this test. make test-arrays runs all of it, on devices.
func TestArrays(t *testing.T) {
	t.Parallel()
	c, err := readConfig(variables(nil))
	require.NoError(t, err)
	c.backends = nil
	require.NoError(t, c.readYAML(arraysYAML))
	for _, options := range c.backends {
		cluster, err := solidfire.New(solidfire.Options{CloneHidden: 1, CreatingReads: 1, Data: arraysim.NewMemory()})
		require.NoError(t, err)
		user, password := fmt.Sprint(options["san_login"]), fmt.Sprint(options["san_password"])
		array := arraysim.Start(t, cluster, arraysim.Options{User: user, Password: password})
		options["san_ip"], options["sf_api_port"], options["driver_ssl_cert_path"] = array.Host, array.Port, array.CAFile
	}
	s := newSuite(t, c)
	s.host = &connector.Properties{ // this one may have no open-iscsi
		Platform: "x86_64", OSType: "linux", IP: "192.0.2.1", Host: "host", Initiator: "iqn.1994-05.com.example:host",
	}
	for _, b := range s.backends {
		b.unattachable = "its targets are not on the network"
	}
	s.run(t, false)
}
