// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/libtest"
)

// cinder is a process with drivers of Cinder's. One goroutine at a time may use it.
type cinder struct {
	in  io.Writer
	out *bufio.Reader
}

// startCinder starts testdata/cinder-driver.py, until the test ends.
func startCinder(t *testing.T) *cinder {
	t.Helper()
	diagnosis, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	// Not the python3 of PATH: Debian's packages belong to Debian's.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/usr/bin/python3", "testdata/cinder-driver.py")
	cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	cmd.Stderr = diagnosis
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, in.Close())
		failed := cmd.Wait()
		text, err := os.ReadFile(diagnosis.Name())
		require.NoError(t, err)
		require.NoError(t, diagnosis.Close())
		assert.False(t, strings.Contains(string(text), password), "Cinder's driver has logged the password") //nolint:testifylint // a failure would show it
		if failed != nil || t.Failed() {
			t.Logf("Cinder: %v\n%s", failed, strings.ReplaceAll(string(text), password, "***"))
		}
		assert.NoError(t, failed)
	})
	c := &cinder{in, bufio.NewReader(out)}
	var version string
	require.NoError(t, c.answer(t, &version))
	require.Equal(t, Version, version)
	return c
}

// cinderError is an exception of Cinder's driver.
type cinderError struct{ class, text string }

func (e *cinderError) Error() string {
	return e.class + ": " + strings.ReplaceAll(e.text, password, "***")
}

// command has the process do something. into is what its result is decoded into.
func (c *cinder) command(t *testing.T, command map[string]any, into any) error {
	t.Helper()
	line, err := json.Marshal(command)
	require.NoError(t, err)
	_, err = c.in.Write(append(line, '\n'))
	require.NoError(t, err)
	return c.answer(t, into)
}

func (c *cinder) answer(t *testing.T, into any) error {
	t.Helper()
	line, err := c.out.ReadBytes('\n')
	require.NoError(t, err, "Cinder is gone; is python3-cinder installed?")
	var answer struct {
		Result      json.RawMessage
		Error, Text string
	}
	require.NoError(t, json.Unmarshal(line, &answer))
	if answer.Error != "" {
		return &cinderError{answer.Error, answer.Text}
	}
	return json.Unmarshal(answer.Result, into)
}

// cinderDriver is Cinder's driver on a cluster.
type cinderDriver struct {
	process *cinder
	number  int
}

// open opens Cinder's driver as a lab's options say. It does not know the option with
// which ours trusts the certificate.
func (c *cinder) open(t *testing.T, l *lab) *cinderDriver {
	t.Helper()
	options := maps.Clone(l.options)
	delete(options, "volume_driver")
	delete(options, "driver_ssl_cert_path")
	options["san_login"], options["driver_ssl_cert_verify"] = "admin", false
	d := &cinderDriver{process: c}
	require.NoError(t, c.command(t, map[string]any{"open": options}, &d.number))
	return d
}

// withVolume is a snapshot as Cinder's objects have it.
type withVolume struct {
	s *drivers.Snapshot
	v *drivers.Volume
}

// typeOf is the type of a volume, as Cinder retypes to.
type typeOf struct{ v *drivers.Volume }

// cinderContext is that of Cinder's administrator.
var cinderContext = map[string]any{"Context": nil}

// asCinder has records in their JSON, with their secrets.
func asCinder(arg any) any {
	switch arg := arg.(type) {
	case *drivers.Volume:
		return map[string]any{"Volume": json.RawMessage(drivers.VolumeSchema().Append(nil, arg, nil))}
	case typeOf:
		return map[string]any{"Type": json.RawMessage(drivers.VolumeSchema().Append(nil, arg.v, nil))}
	case withVolume:
		return map[string]any{
			"Snapshot": json.RawMessage(drivers.SnapshotSchema().Append(nil, arg.s, nil)),
			"volume":   json.RawMessage(drivers.VolumeSchema().Append(nil, arg.v, nil)),
		}
	case []any:
		list := make([]any, len(arg))
		for i, one := range arg {
			list[i] = asCinder(one)
		}
		return list
	}
	return arg
}

// try calls a method of the driver.
func (d *cinderDriver) try(t *testing.T, into any, method string, args ...any) error {
	t.Helper()
	if len(args) == 0 {
		args = []any{}
	}
	return d.process.command(t, map[string]any{"driver": d.number, "method": method, "args": asCinder(args)}, into)
}

// call is try for what must succeed.
func (d *cinderDriver) call(t *testing.T, into any, method string, args ...any) {
	t.Helper()
	require.NoError(t, d.try(t, into, method, args...), method)
}

// do calls a method that gives nothing.
func (d *cinderDriver) do(t *testing.T, method string, args ...any) {
	t.Helper()
	var nothing any
	d.call(t, &nothing, method, args...)
	require.Nil(t, nothing, method)
}

// modelUpdate is what Cinder's driver wants changed in a record.
type modelUpdate struct {
	ID       *string         `json:"provider_id"`
	Location *string         `json:"provider_location"`
	Auth     *drivers.Secret `json:"provider_auth"`
	Geometry *string         `json:"provider_geometry"`
}

func (u *modelUpdate) apply(v *drivers.Volume) {
	update := drivers.VolumeUpdate{ProviderID: u.ID, ProviderLocation: u.Location, ProviderAuth: u.Auth, ProviderGeometry: u.Geometry}
	update.Apply(v)
}

// update calls a method that changes the record of v.
func (d *cinderDriver) update(t *testing.T, v *drivers.Volume, method string, args ...any) {
	t.Helper()
	var u *modelUpdate
	d.call(t, &u, method, args...)
	if u != nil {
		u.apply(v)
	}
}

// party works on volumes of a cluster, and keeps in records what it is told. What
// Cinder's volume manager calls of a driver is one operation.
type party interface {
	create(t *testing.T, v *drivers.Volume)
	clone(t *testing.T, v, src *drivers.Volume)
	fromSnapshot(t *testing.T, v *drivers.Volume, s *drivers.Snapshot, src *drivers.Volume)
	manage(t *testing.T, v *drivers.Volume, ref string)
	unmanage(t *testing.T, v *drivers.Volume)
	extend(t *testing.T, v *drivers.Volume, size int)
	retype(t *testing.T, v *drivers.Volume, qos map[string]string)
	revert(t *testing.T, v *drivers.Volume, s *drivers.Snapshot)
	remove(t *testing.T, v *drivers.Volume)
	snapshot(t *testing.T, s *drivers.Snapshot, v *drivers.Volume)
	removeSnapshot(t *testing.T, s *drivers.Snapshot, v *drivers.Volume)
	connect(t *testing.T, v *drivers.Volume, host *connector.Properties) *connector.ConnInfo
	disconnect(t *testing.T, v *drivers.Volume, host *connector.Properties)
}

func (d *cinderDriver) create(t *testing.T, v *drivers.Volume) {
	t.Helper()
	d.update(t, v, "create_volume", v)
}

func (d *cinderDriver) clone(t *testing.T, v, src *drivers.Volume) {
	t.Helper()
	d.update(t, v, "create_cloned_volume", v, src)
}

func (d *cinderDriver) fromSnapshot(t *testing.T, v *drivers.Volume, s *drivers.Snapshot, src *drivers.Volume) {
	t.Helper()
	d.update(t, v, "create_volume_from_snapshot", v, withVolume{s, src})
}

func (d *cinderDriver) manage(t *testing.T, v *drivers.Volume, ref string) {
	t.Helper()
	reference := map[string]any{"source-id": json.Number(ref)}
	var size int
	d.call(t, &size, "manage_existing_get_size", v, reference)
	require.Equal(t, v.Size, size)
	d.update(t, v, "manage_existing", v, reference)
}

func (d *cinderDriver) unmanage(t *testing.T, v *drivers.Volume) {
	t.Helper()
	d.do(t, "unmanage", v)
}

func (d *cinderDriver) extend(t *testing.T, v *drivers.Volume, size int) {
	t.Helper()
	d.do(t, "extend_volume", v, size)
	v.Size = size
}

// retype leaves the extra specs.
func (d *cinderDriver) retype(t *testing.T, v *drivers.Volume, qos map[string]string) {
	t.Helper()
	typed := withQoS(v, qos)
	var done []any
	d.call(t, &done, "retype", cinderContext, v, typeOf{typed}, map[string]any{}, map[string]any{"host": v.Host})
	require.Equal(t, []any{true, map[string]any{}}, done)
	v.VolumeTypeID, v.VolumeType = typed.VolumeTypeID, typed.VolumeType
}

// withQoS is v with a type that has a quality of service.
func withQoS(v *drivers.Volume, qos map[string]string) *drivers.Volume {
	typed := withSpecs(v.Clone(), v.ExtraSpecs())
	typed.VolumeType.QoSSpecsID = v.ID
	typed.VolumeType.QoS = &drivers.QoSSpecs{ID: v.ID, Name: v.ID, Consumer: "back-end", Specs: qos}
	return typed
}

func (d *cinderDriver) revert(t *testing.T, v *drivers.Volume, s *drivers.Snapshot) {
	t.Helper()
	d.do(t, "revert_to_snapshot", cinderContext, v, withVolume{s, v})
}

func (d *cinderDriver) remove(t *testing.T, v *drivers.Volume) {
	t.Helper()
	d.do(t, "remove_export", cinderContext, v)
	d.do(t, "delete_volume", v)
}

func (d *cinderDriver) snapshot(t *testing.T, s *drivers.Snapshot, v *drivers.Volume) {
	t.Helper()
	var u modelUpdate
	d.call(t, &u, "create_snapshot", withVolume{s, v})
	(&drivers.SnapshotUpdate{ProviderID: u.ID}).Apply(s)
}

func (d *cinderDriver) removeSnapshot(t *testing.T, s *drivers.Snapshot, v *drivers.Volume) {
	t.Helper()
	d.do(t, "delete_snapshot", withVolume{s, v})
}

func (d *cinderDriver) connect(t *testing.T, v *drivers.Volume, host *connector.Properties) *connector.ConnInfo {
	t.Helper()
	d.do(t, "validate_connector", host)
	d.update(t, v, "create_export", cinderContext, v, host)
	var info connector.ConnInfo
	d.call(t, &info, "initialize_connection", v, host)
	return &info
}

func (d *cinderDriver) disconnect(t *testing.T, v *drivers.Volume, host *connector.Properties) {
	t.Helper()
	d.do(t, "terminate_connection", v, host, false)
	d.do(t, "remove_export", cinderContext, v)
}

// ourDriver is a party.
type ourDriver struct{ *Driver }

func (d ourDriver) update(t *testing.T, v *drivers.Volume, u *drivers.VolumeUpdate, err error) {
	t.Helper()
	require.NoError(t, err)
	u.Apply(v)
}

func (d ourDriver) create(t *testing.T, v *drivers.Volume) {
	t.Helper()
	u, err := d.CreateVolume(t.Context(), v)
	d.update(t, v, u, err)
}

func (d ourDriver) clone(t *testing.T, v, src *drivers.Volume) {
	t.Helper()
	u, err := d.CloneVolume(t.Context(), v, src)
	d.update(t, v, u, err)
}

func (d ourDriver) fromSnapshot(t *testing.T, v *drivers.Volume, s *drivers.Snapshot, src *drivers.Volume) {
	t.Helper()
	u, err := d.VolumeFromSnapshot(t.Context(), v, s, src)
	d.update(t, v, u, err)
}

func (d ourDriver) manage(t *testing.T, v *drivers.Volume, ref string) {
	t.Helper()
	u, err := d.ManageVolume(t.Context(), v, ref)
	d.update(t, v, u, err)
}

func (d ourDriver) unmanage(t *testing.T, v *drivers.Volume) {
	t.Helper()
	require.NoError(t, d.UnmanageVolume(t.Context(), v))
}

func (d ourDriver) extend(t *testing.T, v *drivers.Volume, size int) {
	t.Helper()
	require.NoError(t, d.ExtendVolume(t.Context(), v, size))
	v.Size = size
}

func (d ourDriver) retype(t *testing.T, v *drivers.Volume, qos map[string]string) {
	t.Helper()
	typed := withQoS(v, qos)
	u, err := d.RetypeVolume(t.Context(), v, typed.VolumeType)
	d.update(t, v, u, err)
	v.VolumeTypeID, v.VolumeType = typed.VolumeTypeID, typed.VolumeType
}

func (d ourDriver) revert(t *testing.T, v *drivers.Volume, s *drivers.Snapshot) {
	t.Helper()
	require.NoError(t, d.RevertToSnapshot(t.Context(), v, s))
}

func (d ourDriver) remove(t *testing.T, v *drivers.Volume) {
	t.Helper()
	require.NoError(t, d.Unexport(t.Context(), v))
	require.NoError(t, d.DeleteVolume(t.Context(), v))
}

func (d ourDriver) snapshot(t *testing.T, s *drivers.Snapshot, v *drivers.Volume) {
	t.Helper()
	u, err := d.CreateSnapshot(t.Context(), s, v)
	require.NoError(t, err)
	u.Apply(s)
}

func (d ourDriver) removeSnapshot(t *testing.T, s *drivers.Snapshot, v *drivers.Volume) {
	t.Helper()
	require.NoError(t, d.DeleteSnapshot(t.Context(), s, v))
}

func (d ourDriver) attachment(host *connector.Properties) *drivers.Attachment {
	return &drivers.Attachment{ID: "attachment", Host: host, Mode: connector.ReadWrite}
}

func (d ourDriver) connect(t *testing.T, v *drivers.Volume, host *connector.Properties) *connector.ConnInfo {
	t.Helper()
	u, err := d.Export(t.Context(), v)
	d.update(t, v, u, err)
	info, err := d.Connect(t.Context(), v, d.attachment(host))
	require.NoError(t, err)
	return info
}

func (d ourDriver) disconnect(t *testing.T, v *drivers.Volume, host *connector.Properties) {
	t.Helper()
	require.NoError(t, d.Disconnect(t.Context(), v, d.attachment(host)))
}

// words has Cinder's driver do what the words of an operation say.
type words struct {
	*cinderDriver

	volumes   map[string]*drivers.Volume
	snapshots map[string]*drivers.Snapshot
}

func (w *words) do(t *testing.T, text, ref string) {
	t.Helper()
	for word := range strings.FieldsSeq(text) {
		name, verb := word[:1], word[1:]
		v, s := w.volumes[name], w.snapshots[name]
		made := aRecord(name)
		from, target, makes := strings.Cut(verb, ">")
		if makes {
			made = aRecord(target)
		}
		switch {
		case word == "?":
			w.call(t, &map[string]any{}, "get_volume_stats", true)
		case verb == "+":
			w.create(t, made)
			w.volumes[name] = made
		case verb == "^":
			w.manage(t, made, ref)
		case makes && from == "*":
			w.fromSnapshot(t, made, s, v)
		case makes:
			w.clone(t, made, v)
		case verb == "-":
			w.remove(t, v)
		case verb == "~":
			w.unmanage(t, v)
		case verb == "%":
			w.retype(t, v, libtest.QoS())
		case verb == "=":
			w.extend(t, v, 2)
		case verb == "*":
			w.snapshots[name] = aSnapshot(v)
			w.snapshot(t, w.snapshots[name], v)
		case verb == "/":
			w.removeSnapshot(t, s, v)
		case verb == "<":
			w.revert(t, v, s)
		case verb == "!":
			w.connect(t, v, host)
		case verb == ".":
			w.disconnect(t, v, host)
		default:
			require.Fail(t, fmt.Sprintf("there is no word %s", word))
		}
	}
}
