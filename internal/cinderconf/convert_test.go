// SPDX-License-Identifier: Apache-2.0

package cinderconf_test

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/cinderconf"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/optdecode"
)

type options = []optdecode.Option

// known has three drivers.
func known(driver string) (options, error) {
	common := options{
		{Name: "volume_backend_name", Type: optdecode.TypeString},
		{Name: "volume_driver", Type: optdecode.TypeString},
		{Name: "use_multipath_for_image_xfer", Type: optdecode.TypeBoolean},
		{Name: "max_over_subscription_ratio", Type: optdecode.TypeString},
	}
	switch driver {
	case "cinder.volume.drivers.lvm.LVMVolumeDriver":
		return append(common, options{
			{Name: "volume_group", Type: optdecode.TypeString},
			{Name: "target_helper", Type: optdecode.TypeString},
			{Name: "target_ip_address", Aliases: []string{"iscsi_ip_address"}, Type: optdecode.TypeString},
			{Name: "volumes_dir", Type: optdecode.TypeString},
		}...), nil
	case "array":
		return append(common, options{
			{Name: "san_ip", Type: optdecode.TypeString},
			{Name: "san_port", Type: optdecode.TypeInteger},
			{Name: "san_thin_provision", Type: optdecode.TypeBoolean},
			{Name: "san_login", Aliases: []string{"old_login"}, Type: optdecode.TypeString},
			{Name: "san_password", Type: optdecode.TypeString, Secret: true},
			{Name: "timeout", Type: optdecode.TypeDuration},
			{Name: "pools", Type: optdecode.TypeList},
			{Name: "replication_device", Type: optdecode.TypeDicts},
			{Name: "comment", Type: optdecode.TypeString},
		}...), nil
	case "file":
		return append(common, optdecode.Option{Name: "file_directory", Type: optdecode.TypeString}), nil
	}
	return nil, fault.Errorf(fault.ErrInvalid, "volume_driver %q is not registered", driver)
}

func TestRead(t *testing.T) {
	t.Parallel()
	c, err := cinderconf.Read("testdata/cinder.conf", known)
	require.NoError(t, err)
	want := []map[string]any{
		{
			"volume_backend_name": "lvm-1", "volume_driver": "cinder.volume.drivers.lvm.LVMVolumeDriver",
			"volume_group": "cinder-volumes", "target_helper": "lioadm", "target_ip_address": "$my_ip",
			"volumes_dir": "${volumes_dir}", "use_multipath_for_image_xfer": true, "max_over_subscription_ratio": "2.5",
		},
		{
			"volume_backend_name": "premium tier", "volume_driver": "array", "san_ip": "192.0.2.20",
			"san_port": int64(8443), "san_thin_provision": true, "san_login": "admin", "san_password": "0123",
			"timeout": 2.5, "pools": []any{"a", "b", "c"},
			"replication_device": []any{"backend_id:one,\nsan_ip:192.0.2.30", "backend_id:two,san_ip:192.0.2.31"},
			"comment":            "say $$5\nand more", "use_multipath_for_image_xfer": true, "max_over_subscription_ratio": "10.0",
		},
		{
			"volume_backend_name": "files", "volume_driver": "file", "file_directory": "$state_path/files",
			"use_multipath_for_image_xfer": true, "max_over_subscription_ratio": "10.0",
		},
	}
	assert.Equal(t, want, c.Backends)
	assert.Equal(t, map[string][]string{"lvm-1": {"netapp_login"}}, c.Dropped)
	assert.Equal(t, "192.0.2.10", c.Defaults["my_ip"])
	assert.Equal(t, "False", c.Defaults["debug"], "the last counts")

	require.NoError(t, c.Inline())
	assert.Equal(t, "192.0.2.10", c.Backends[0]["target_ip_address"])
	assert.Equal(t, "${volumes_dir}", c.Backends[0]["volumes_dir"], "its own option, to which oslo.config refers as well")
	assert.Equal(t, "say $$5\nand more", c.Backends[1]["comment"])
	assert.Equal(t, "/var/lib/cinder/files", c.Backends[2]["file_directory"])
}

func TestReadMissing(t *testing.T) {
	t.Parallel()
	_, err := cinderconf.Read("testdata/none.conf", known)
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Contains(t, err.Error(), "testdata/none.conf")
}

func TestTextStaysWhatItIs(t *testing.T) {
	t.Parallel()
	c, err := cinderconf.Convert("[DEFAULT]\nenabled_backends=a\n[a]\nvolume_driver=array\nsan_port=many\nsan_thin_provision=perhaps\ntimeout=inf\n", known)
	require.NoError(t, err)
	assert.Equal(t, "many", c.Backends[0]["san_port"])
	assert.Equal(t, "perhaps", c.Backends[0]["san_thin_provision"])
	assert.Equal(t, "inf", c.Backends[0]["timeout"])
}

func TestCinderDefaults(t *testing.T) {
	t.Parallel()
	c, err := cinderconf.Convert("[DEFAULT]\nenabled_backends=a\n[a]\nvolume_backend_name=\niscsi_ip_address=old\ntarget_ip_address=new\n", known)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{
		"volume_backend_name": "a", "volume_driver": "cinder.volume.drivers.lvm.LVMVolumeDriver", "target_ip_address": "new",
	}, c.Backends[0])
}

func TestFaults(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, text, want string }{
		{"no section", "a = 1", "line 1: an option stands before the first section"},
		{"open section", "\n[DEFAULT", "line 2: a section's name ends with ]"},
		{"empty section", "[]", "line 1: a section has no name"},
		{"no option", "[a]\npassword hunter2", "line 2: it is neither a section nor NAME = VALUE"},
		{"no name", "[a]\n= 1", "line 2: an option has no name"},
		{"indented", "[a]\n  b = 1", "line 2: it is indented, and there is no value that it continues"},
		{"after a comment", "[a]\nb = 1\n# c\n  d", "line 4: it is indented, and there is no value that it continues"},
		{"no enabled_backends", "[DEFAULT]\n[default]\nenabled_backends=a", "section DEFAULT has no enabled_backends"},
		{"none enabled", "[DEFAULT]\nenabled_backends = ,", "enabled_backends names no backend"},
		{"enabled twice", "[DEFAULT]\nenabled_backends = a,a", "enabled_backends names a twice"},
		{"all faults", "[DEFAULT]\nenabled_backends = a,b\n[b]\nvolume_driver=x", "backend a: there is no section [a]; backend b: volume_driver \"x\" is not registered"},
		{
			"same name", "[DEFAULT]\nenabled_backends = a,b\n[backend_defaults]\nvolume_backend_name=gold\n[a]\n[b]\n",
			`the backends a and b both have the volume_backend_name "gold"; it must be unique`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := cinderconf.Convert(c.text, known)
			require.ErrorIs(t, err, fault.ErrInvalid)
			assert.Equal(t, c.want, err.Error())
		})
	}
}

func TestInline(t *testing.T) {
	t.Parallel()
	inline := func(value string) (string, error) {
		text := "[DEFAULT]\nenabled_backends=b\na=1\nb=<$a>\nc=$d$d\nd=$c\nvolume_group=of DEFAULT\n[b]\nvolume_group=own\nvolume_driver=cinder.volume.drivers.lvm.LVMVolumeDriver\ntarget_helper="
		c, err := cinderconf.Convert(text+value+"\n", known)
		require.NoError(t, err)
		err = c.Inline()
		return c.Backends[0]["target_helper"].(string), err
	}
	for value, want := range map[string]string{
		"x":                             "x",
		"$a":                            "1",
		"${a}b":                         "1b",
		"$DEFAULT.b":                    "<1>",
		"$b $nobody $$a":                "<1> $nobody $$a",
		"$volume_group":                 "$volume_group",
		"${DEFAULT.volume_group}":       "of DEFAULT",
		"$backend_defaults.a ${open $ ": "$backend_defaults.a ${open $",
	} {
		got, err := inline(value)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err := inline("$c")
	require.ErrorIs(t, err, fault.ErrInvalid)
	assert.Contains(t, err.Error(), "circle")
}

// FuzzConvert: whatever the text, converting ends in backends that have a name
// and a driver, or in ErrInvalid.
func FuzzConvert(f *testing.F) {
	f.Add("[DEFAULT]\nenabled_backends=a\n[a]\nvolume_driver=array\npools=[x,y]\n  z\n")
	f.Add("[DEFAULT]\nenabled_backends=a\nb=$b$b\n[a]\nvolume_group='$b\\$'")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := cinderconf.Convert(text, known)
		if err != nil {
			require.ErrorIs(t, err, fault.ErrInvalid)
			return
		}
		require.NotEmpty(t, c.Backends)
		for _, b := range c.Backends {
			require.NotEmpty(t, b["volume_backend_name"])
			require.NotEmpty(t, b["volume_driver"])
		}
		if err := c.Inline(); err != nil {
			require.ErrorIs(t, err, fault.ErrInvalid)
		}
	})
}
