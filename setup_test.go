// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence/memory"
)

func TestDefaultLibrary(t *testing.T) {
	cinderlib.ForgetDefault()
	t.Cleanup(cinderlib.ForgetDefault)
	lib, err := cinderlib.Setup(cinderlib.WithProjectID("mine"))
	require.NoError(t, err)
	_, err = cinderlib.Setup()
	require.ErrorIs(t, err, cinderlib.ErrAlreadySetup)
	assert.Same(t, lib, cinderlib.Default())
	b, err := cinderlib.NewBackend(t.Context(), cinderlib.Options{
		"volume_backend_name": "disk", "volume_driver": "file", "file_directory": t.TempDir(),
	})
	require.NoError(t, err)
	assert.Equal(t, map[string]*cinderlib.Backend{"disk": b}, cinderlib.Backends())
	v, err := b.CreateVolume(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "mine", v.Info().ProjectID)
	_, err = b.Volumes(t.Context())
	require.NoError(t, err)
	loaded, err := cinderlib.JSON()
	require.NoError(t, err)
	dumped, err := cinderlib.Dump(t.Context())
	require.NoError(t, err)
	assert.NotContains(t, string(loaded), "SnapshotList")
	assert.Contains(t, string(dumped), "SnapshotList")
	objects, err := cinderlib.Load(t.Context(), dumped)
	require.NoError(t, err)
	assert.Equal(t, []cinderlib.Object{b}, objects)
	require.NoError(t, lib.Close(t.Context()))
	require.NoError(t, lib.Close(t.Context()))
	for name, call := range map[string]func() error{
		"create": func() error { _, err := b.CreateVolume(t.Context(), 1); return err },
		"stats":  func() error { _, err := b.RefreshStats(t.Context()); return err },
		"list":   func() error { _, err := b.ManageableVolumes(t.Context()); return err },
		"load":   func() error { _, err := lib.Load(t.Context(), dumped); return err },
	} {
		require.ErrorIs(t, call(), cinderlib.ErrClosed, name)
	}
}

func TestBackendNames(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	lib := library(b)
	require.Equal(t, cinderlib.Options{"volume_backend_name": "disk"}, b.Config())
	options := cinderlib.Options{"volume_backend_name": "two", "volume_driver": "file", "file_directory": t.TempDir(), "reserved_percentage": 1}
	two, err := lib.NewBackend(ctx, options)
	require.NoError(t, err)
	options["reserved_percentage"] = float64(1) // as JSON has it
	same, err := lib.NewBackend(ctx, options)
	require.NoError(t, err)
	assert.Same(t, two, same)
	options["reserved_percentage"] = 2
	_, err = lib.NewBackend(ctx, options)
	require.ErrorIs(t, err, cinderlib.ErrBackendExists)
	assert.Equal(t, []string{"two"}, two.PoolNames())
	assert.Len(t, lib.Backends(), 2)
	for _, name := range []string{"", "a@b", "a#b", "a\nb", "a\x00b", strings.Repeat("x", 10000)} {
		_, err := lib.NewBackend(ctx, cinderlib.Options{"volume_backend_name": name, "volume_driver": "file", "file_directory": t.TempDir()})
		require.ErrorIs(t, err, cinderlib.ErrInvalid, "%.20q", name)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, tt := range map[string]struct {
		options cinderlib.Options
		wants   []string
	}{
		"no driver":      {cinderlib.Options{}, []string{"volume_driver is missing"}},
		"driver a list":  {cinderlib.Options{"volume_driver": []string{"file"}}, []string{"volume_driver is missing"}},
		"unknown driver": {cinderlib.Options{"volume_driver": "fyle"}, []string{`"fyle"`, "registered: ", "file"}},
		"missing":        {cinderlib.Options{"volume_driver": "file"}, []string{"file_directory"}},
		"misspelt": {
			cinderlib.Options{"volume_driver": "file", "file_directry": dir, "file_directory": dir},
			[]string{`"file_directry"`, `"file_directory"`},
		},
		"several at once": {
			cinderlib.Options{"volume_driver": "file", "reserved_percentage": "many", "foo": 1, "volume_copy_bps_limit": -1},
			[]string{"reserved_percentage", "foo", "volume_copy_bps_limit", "file_directory"},
		},
		"wrong type":      {cinderlib.Options{"volume_driver": "file", "file_directory": map[string]any{}}, []string{"file_directory"}},
		"out of range":    {cinderlib.Options{"volume_driver": "file", "file_directory": dir, "reserved_percentage": 101}, []string{"reserved_percentage", "100"}},
		"no such choice":  {cinderlib.Options{"volume_driver": "file", "file_directory": dir, "file_attach": "nbd"}, []string{"file_attach", "loop"}},
		"is a file":       {cinderlib.Options{"volume_driver": "file", "file_directory": file}, []string{file}},
		"no parent":       {cinderlib.Options{"volume_driver": "file", "file_directory": dir + "/a/b"}, []string{dir}},
		"dangling":        {cinderlib.Options{"volume_driver": "file", "file_directory": "$nowhere"}, []string{"$nowhere"}},
		"circle":          {cinderlib.Options{"volume_driver": "file", "file_directory": "${file_directory}x"}, []string{"circle"}},
		"single dollar":   {cinderlib.Options{"volume_driver": "file", "file_directory": "/a$"}, []string{"$$"}},
		"open reference":  {cinderlib.Options{"volume_driver": "file", "file_directory": "${x"}, []string{"$"}},
		"unknown group":   {cinderlib.Options{"volume_driver": "file", "file_directory": "$nonsense.volume_driver"}, []string{"$nonsense.volume_driver"}},
		"circle in a map": {cinderlib.Options{"volume_driver": "$volume_driver"}, []string{"volume_driver"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lib, err := cinderlib.New()
			require.NoError(t, err)
			tt.options["volume_backend_name"] = "bad"
			_, err = lib.NewBackend(t.Context(), tt.options)
			require.Error(t, err)
			for _, want := range tt.wants {
				assert.ErrorContains(t, err, want)
			}
			assert.NotEqual(t, cinderlib.CodeUnknown, cinderlib.CodeOf(err), "%v", err)
			assert.Empty(t, lib.Backends())
		})
	}
}

func TestLenientOptions(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	lib, err := cinderlib.New(cinderlib.WithLenientOptions(), cinderlib.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	require.NoError(t, err)
	_, err = lib.NewBackend(t.Context(), cinderlib.Options{
		"volume_backend_name": "b", "volume_driver": "file", "file_directory": t.TempDir(), "foo_bar": 1,
	})
	require.NoError(t, err)
	assert.Contains(t, log.String(), "level=WARN")
	assert.Contains(t, log.String(), "foo_bar")
}

func TestReferences(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	lib, err := cinderlib.New(cinderlib.WithConfig(map[string]any{"my_ip": "192.0.2.7", "state_path": base, "deep": "$my_ip"}))
	require.NoError(t, err)
	var got sampleOptions
	lib2, err := cinderlib.New(
		cinderlib.WithConfig(map[string]any{"my_ip": "192.0.2.7", "deep": "$my_ip"}),
		cinderlib.WithDriver(drivers.NewRegistration("seen", func(_ context.Context, env drivers.Env, o sampleOptions) (drivers.Driver, error) {
			got = o
			return newNoop(env.Backend), nil
		})))
	require.NoError(t, err)
	_, err = lib2.NewBackend(t.Context(), cinderlib.Options{
		"volume_backend_name": "b", "volume_driver": "seen", "san_ip": "$my_ip",
		"san_login": "${volume_backend_name}-user.${backend_defaults.san_ip}", "san_password": "pa$$word", "chap_username": "$deep.",
	})
	require.NoError(t, err)
	assert.Equal(t, "192.0.2.7", got.SanIP)
	assert.Equal(t, "b-user.192.0.2.7", got.SanLogin)
	assert.Equal(t, "pa$word", got.SanPassword.Reveal())
	assert.Equal(t, "192.0.2.7.", got.CHAPUsername)

	_, err = lib.NewBackend(t.Context(), cinderlib.Options{
		"volume_backend_name": "c", "volume_driver": "file", "file_directory": "${state_path}/my-$volume_backend_name-vols",
	})
	require.NoError(t, err)
	assert.DirExists(t, filepath.Join(base, "my-c-vols"))
}

func TestConfig(t *testing.T) {
	t.Parallel()
	mixed, err := cinderlib.New(cinderlib.WithHostName("kept"), cinderlib.WithNonUUIDs(), cinderlib.WithConfig(map[string]any{"project_id": "p"}))
	require.NoError(t, err)
	mb, err := mixed.NewBackend(t.Context(), cinderlib.Options{"volume_backend_name": "b", "volume_driver": "file", "file_directory": t.TempDir()})
	require.NoError(t, err)
	mv, err := mb.CreateVolume(t.Context(), 1, cinderlib.WithID("v1"))
	require.NoError(t, err)
	assert.Equal(t, "kept@b#b", mv.Info().Host, "what the map lacks stays as it is")
	assert.Equal(t, "p", mv.Info().ProjectID)

	lib, err := cinderlib.New(cinderlib.WithConfig(map[string]any{
		"file_locks_path": t.TempDir(), "root_helper": "", "suppress_requests_ssl_warnings": false, "disable_logs": true,
		"non_uuid_ids": true, "output_all_backend_info": "True", "project_id": "p", "user_id": nil,
		"persistence_config": map[string]any{"storage": memory.New()}, "fail_on_missing_backend": false, "host": "h",
		"rpc_backend": "whatever",
	}))
	require.NoError(t, err)
	options := cinderlib.Options{"volume_backend_name": "b", "volume_driver": "file", "file_directory": t.TempDir()}
	b, err := lib.NewBackend(t.Context(), options)
	require.NoError(t, err)
	assert.Equal(t, options, b.Config())
	v, err := b.CreateVolume(t.Context(), 1, cinderlib.WithID("vm-17.disk_0"))
	require.NoError(t, err)
	assert.Equal(t, "h@b#b", v.Info().Host)
	assert.Equal(t, "p", v.Info().ProjectID)
	assert.Equal(t, "cinderlib", v.Info().UserID)
	for _, bad := range []map[string]any{
		{"non_uuid_ids": "perhaps"}, {"persistence_config": "memory"}, {"persistence_config": map[string]any{"storage": "none"}},
		{"file_locks_path": "/proc/none"},
	} {
		_, err := cinderlib.New(cinderlib.WithConfig(bad))
		require.Error(t, err, "%v", bad)
		assert.NotEqual(t, cinderlib.CodeUnknown, cinderlib.CodeOf(err), "%v", err)
	}
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	ctx, b := t.Context(), newFile(t)
	v, err := b.CreateVolume(ctx, 2)
	require.NoError(t, err)
	s, err := v.CreateSnapshot(ctx)
	require.NoError(t, err)
	before, err := library(b).Dump(ctx)
	require.NoError(t, err)
	create := func(opts ...cinderlib.CreateOption) func() error {
		return func() error { _, err := b.CreateVolume(ctx, 1, opts...); return err }
	}
	size := func(n int) func() error {
		return func() error { _, err := b.CreateVolume(ctx, n); return err }
	}
	long := strings.Repeat("x", 10<<10)
	for name, call := range map[string]func() error{
		"size 0":               size(0),
		"size -1":              size(-1),
		"size huge":            size(1 << 40),
		"id no UUID":           create(cinderlib.WithID("disk1")),
		"id climbs":            create(cinderlib.WithID("../../../etc/passwd")),
		"id in braces":         create(cinderlib.WithID("{00000000-0000-4000-8000-000000000001}")),
		"id urn":               create(cinderlib.WithID("urn:uuid:00000000-0000-4000-8000-000000000001")),
		"name with NUL":        create(cinderlib.WithName("a\x00b")),
		"name with newline":    create(cinderlib.WithName("a\nb")),
		"name of 10 kB":        create(cinderlib.WithName(long)),
		"name not UTF-8":       create(cinderlib.WithName("a\xff")),
		"description of 10 kB": create(cinderlib.WithDescription(long)),
		"metadata key empty":   create(cinderlib.WithMetadata(map[string]string{"": "v"})),
		"metadata value":       create(cinderlib.WithMetadata(map[string]string{"k": long})),
		"specs":                create(cinderlib.WithExtraSpecs(map[string]string{"k\n": "v"})),
		"qos":                  create(cinderlib.WithQoSSpecs(map[string]string{"": "v"})),
		"pool":                 create(cinderlib.WithPool("none")),
		"host":                 create(cinderlib.WithHost("h@other#pool")),
		"shrink":               func() error { _, err := v.Extend(ctx, 1); return err },
		"same size":            func() error { _, err := v.Extend(ctx, 2); return err },
		"extend huge":          func() error { _, err := v.Extend(ctx, 1<<40); return err },
		"clone smaller":        func() error { _, err := v.Clone(ctx, cinderlib.WithSize(1)); return err },
		"clone negative":       func() error { _, err := v.Clone(ctx, cinderlib.WithSize(-1)); return err },
		"snapshot id":          func() error { _, err := v.CreateSnapshot(ctx, cinderlib.WithID("x/../y")); return err },
		"snapshot name":        func() error { _, err := v.CreateSnapshot(ctx, cinderlib.WithName("\n")); return err },
		"smaller than snap":    func() error { _, err := s.CreateVolume(ctx, cinderlib.WithSize(1)); return err },
		"no connector":         func() error { _, err := v.Connect(ctx, nil); return err },
		"attach mode":          func() error { _, err := v.Attach(ctx, cinderlib.WithAttachMode("rx")); return err },
		"mountpoint":           func() error { _, err := v.Attach(ctx, cinderlib.WithMountpoint("a\x00")); return err },
		"disconnect nil":       func() error { return v.Disconnect(ctx, nil) },
		"revert nil":           func() error { return v.Revert(ctx, nil) },
		"update":               func() error { return v.Update(ctx, cinderlib.WithName(long)) },
		"snapshot bootable":    func() error { return s.Update(ctx, cinderlib.WithBootable(true)) },
		"key":                  func() error { return library(b).SetKeyValue(ctx, cinderlib.KeyValue{Key: long}) },
		"volume id empty":      func() error { _, err := library(b).VolumeByID(ctx, ""); return err },
	} {
		err := call()
		if assert.Error(t, err, name) {
			assert.Equal(t, cinderlib.CodeInvalidArgument, cinderlib.CodeOf(err), "%s: %v", name, err)
			assert.Less(t, len(err.Error()), 500, name)
		}
	}
	after, err := library(b).Dump(ctx)
	require.NoError(t, err)
	assert.JSONEq(t, string(before), string(after), "nothing was changed")

	iscsi := &noopISCSI{newNoop("i")}
	lib, err := cinderlib.New(cinderlib.WithDriver(drivers.NewRegistration("i",
		func(context.Context, drivers.Env, sampleOptions) (drivers.Driver, error) { return iscsi, nil })))
	require.NoError(t, err)
	ib, err := lib.NewBackend(ctx, cinderlib.Options{"volume_backend_name": "i", "volume_driver": "i"})
	require.NoError(t, err)
	require.NoError(t, ib.ValidateConnector(&connector.Properties{Initiator: "iqn.x"}))
	iv, err := ib.CreateVolume(ctx, 1)
	require.NoError(t, err)
	_, err = iv.Connect(ctx, &connector.Properties{Host: "h"})
	require.ErrorIs(t, err, cinderlib.ErrInvalid)
	assert.ErrorContains(t, err, "initiator")
}

// noopISCSI says that it speaks iSCSI.
type noopISCSI struct{ *noop }

func (d *noopISCSI) Stats(ctx context.Context) (*drivers.Stats, error) {
	s, err := d.noop.Stats(ctx)
	s.StorageProtocol = "iSCSI"
	return s, err
}

func TestUnwritableDirectory(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere; TestBadOptions has the other unusable directories")
	}
	dir := filepath.Join(t.TempDir(), "d")
	require.NoError(t, os.Mkdir(dir, 0o500))
	lib, err := cinderlib.New()
	require.NoError(t, err)
	_, err = lib.NewBackend(t.Context(), cinderlib.Options{"volume_backend_name": "b", "volume_driver": "file", "file_directory": dir})
	require.ErrorIs(t, err, cinderlib.ErrPermission)
	assert.ErrorContains(t, err, dir)
	_, err = cinderlib.New(cinderlib.WithFileLocksPath(filepath.Join(dir, "locks")))
	require.ErrorIs(t, err, cinderlib.ErrPermission)
}

// canary is in every place that may hold a secret.
const canary = "c4n4ryS3cr3t"

type canaryDriver struct{ *noop }

func (d *canaryDriver) Export(context.Context, *drivers.Volume) (*drivers.VolumeUpdate, error) {
	auth := drivers.Secret("CHAP user " + canary)
	return &drivers.VolumeUpdate{ProviderAuth: &auth}, nil
}

func (d *canaryDriver) Connect(_ context.Context, v *drivers.Volume, _ *drivers.Attachment) (*connector.ConnInfo, error) {
	return &connector.ConnInfo{Protocol: "iscsi", Data: &connector.ISCSIData{
		TargetIQN: "iqn.x", AuthPassword: canary, DiscoveryAuthPassword: canary,
		Shared: connector.Common{VolumeID: v.ID, Extra: map[string]any{"other_secret": canary}},
	}}, nil
}

func (d *canaryDriver) ExtendVolume(context.Context, *drivers.Volume, int) error {
	return drivers.Errorf(drivers.ErrUnavailable, "no answer")
}

// No secret is in a log, an error or the text form of anything. JSON has them
// where its form needs them.
func TestNoSecretShows(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var out bytes.Buffer
	lib, err := cinderlib.New(
		cinderlib.WithLogger(slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		cinderlib.WithDriver(drivers.NewRegistration("canary", func(_ context.Context, env drivers.Env, o sampleOptions) (drivers.Driver, error) {
			env.Log.Info("open", slog.Any("options", o))
			fmt.Fprintf(&out, "%v %+v %#v", o, o, o)
			return &canaryDriver{newNoop(env.Backend)}, nil
		})))
	require.NoError(t, err)
	options := cinderlib.Options{
		"volume_backend_name": "b", "volume_driver": "canary", "san_password": canary, "chap_password": canary, "use_chap_auth": true,
	}
	wrong := cinderlib.Options{
		"volume_backend_name": "w", "volume_driver": "canary", "san_password": map[string]any{"x": canary}, "chap_password": "$" + canary,
	}
	_, err = lib.NewBackend(ctx, wrong)
	require.Error(t, err)
	fmt.Fprintf(&out, "%v %+v", err, err)
	b, err := lib.NewBackend(ctx, options)
	require.NoError(t, err)
	_, err = lib.NewBackend(ctx, cinderlib.Options{"volume_backend_name": "b", "volume_driver": "canary", "san_password": canary + "2"})
	require.ErrorIs(t, err, cinderlib.ErrBackendExists)
	fmt.Fprintln(&out, err)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	c, err := v.Connect(ctx, &connector.Properties{Host: "h"})
	require.NoError(t, err)
	_, err = v.Extend(ctx, 2)
	require.Error(t, err)
	fmt.Fprintf(&out, "%v %+v %#v", err, err, err)
	err = c.Attach(ctx) // there is no connector for iscsi here
	require.Error(t, err)
	fmt.Fprintf(&out, "%v %+v", err, err)
	text, err := c.MarshalJSON()
	require.NoError(t, err)
	assert.Contains(t, string(text), canary)
	loaded, err := lib.LoadConnection(ctx, text)
	require.NoError(t, err)
	volumeInfo, connectionInfo := v.Info(), c.Info()
	for _, o := range []any{
		lib, b, v, c, loaded, options, volumeInfo, &volumeInfo, connectionInfo, &connectionInfo,
		c.ConnInfo(), *c.ConnInfo(), c.ConnInfo().Data, connectionInfo.Conn.Data.Common(), loaded.ConnInfo(),
		volumeInfo.ProviderAuth, []any{v, c}, map[string]any{"v": volumeInfo},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb, o)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("object", slog.Any("o", o))
		switch o.(type) {
		case []any, map[string]any: // encoding/json asks the elements for their JSON, which has secrets by design
		default:
			slog.New(slog.NewJSONHandler(&out, nil)).Info("object", slog.Any("o", o))
		}
	}
	assert.Greater(t, out.Len(), 5000)
	for _, form := range []string{canary, fmt.Sprintf("%x", canary)} {
		if before, _, found := strings.Cut(out.String(), form); found {
			t.Errorf("a secret shows after …%s", before[max(0, len(before)-300):])
		}
	}
}
