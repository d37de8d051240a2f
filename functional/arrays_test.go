// SPDX-License-Identifier: Apache-2.0

package functional_test

import (
	_ "embed"
	"fmt"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
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
		array, err := simulated(options)
		require.NoError(t, err)
		user, password := fmt.Sprint(options["san_login"]), fmt.Sprint(options["san_password"])
		served := arraysim.Start(t, array, arraysim.Options{User: user, Password: password})
		options["driver_ssl_cert_path"] = served.CAFile
		if _, is := array.(*xtremio.XMS); is {
			options["san_ip"] = net.JoinHostPort(served.Host, strconv.Itoa(served.Port))
		} else {
			options["san_ip"], options["sf_api_port"] = served.Host, served.Port
		}
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

// simulated makes the array of a backend, as tools/test-vm.sh starts it.
func simulated(options map[string]any) (arraysim.Array, error) {
	switch name := options["volume_backend_name"]; name {
	case "solidfire", "solidfire-groups":
		return solidfire.New(solidfire.Options{CloneHidden: 1, CreatingReads: 1, Data: arraysim.NewMemory()})
	case "xtremio":
		return xtremio.New(xtremio.Options{Version: "6.2.1", Data: arraysim.NewMemory()})
	case "xtremio-3":
		return xtremio.New(xtremio.Options{Version: "3.0.3", Data: arraysim.NewMemory()})
	default:
		return nil, fmt.Errorf("no array for the backend %q", name)
	}
}
