// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// readByCinder has Cinder's own versioned objects read a document.
func readByCinder(t *testing.T, text []byte) []map[string]any {
	t.Helper()
	var out, diagnosis bytes.Buffer
	// Not the python3 of PATH: Debian's packages belong to Debian's.
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", filepath.Join("tools", "python-reader.py"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &diagnosis
	require.NoError(t, cmd.Run(), "%s", diagnosis.String())
	var told []map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &told))
	return told
}

// What this library writes, Cinder's objects read: with specs, relations,
// metadata, and in every status that a record may be stored with.
func TestCinderReadsWhatWeWrite(t *testing.T) {
	t.Parallel()
	if os.Getenv("CINDERLIB_SYSTEM") != "1" {
		t.Skip("it needs Debian's python3-cinder: set CINDERLIB_SYSTEM=1")
	}
	ctx, b := t.Context(), newFile(t)
	v, err := b.CreateVolume(ctx, 2, cinderlib.WithName("Grüße 漢字 😀"), cinderlib.WithMetadata(map[string]string{"k": "v", "ключ": ""}),
		cinderlib.WithAdminMetadata(map[string]string{"a": "b"}), cinderlib.WithBootable(true),
		cinderlib.WithExtraSpecs(map[string]string{"thin": "<is> True"}), cinderlib.WithQoSSpecs(map[string]string{"maxIOPS": "500"}))
	require.NoError(t, err)
	s, err := v.CreateSnapshot(ctx, cinderlib.WithName("then"))
	require.NoError(t, err)
	attached, err := v.Attach(ctx, cinderlib.WithMountpoint("/mnt"))
	require.NoError(t, err)
	other, err := v.Connect(ctx, &connector.Properties{Host: "node", Initiator: "iqn.1994-05.com.example:node", Multipath: true},
		cinderlib.WithAttachMode(connector.ReadOnly), cinderlib.WithAttachedHost("node"))
	require.NoError(t, err)
	_, err = b.CreateVolume(ctx, 1)
	require.NoError(t, err)

	text, err := library(b).Dump(ctx)
	require.NoError(t, err)
	told := readByCinder(t, text)
	require.Len(t, told, 2)
	sameFields(t, v, told[0])
	assert.Equal(t, map[string]any{"thin": "<is> True"}, told[0]["extra_specs"])
	assert.Equal(t, map[string]any{"maxIOPS": "500"}, told[0]["qos_specs"])
	snapshots := told[0]["snapshots"].([]any)
	require.Len(t, snapshots, 1)
	sameFields(t, s, snapshots[0].(map[string]any))
	connections := told[0]["volume_attachment"].([]any)
	require.Len(t, connections, 2)
	for i, c := range []*cinderlib.Connection{attached, other} {
		sameFields(t, c, connections[i].(map[string]any))
	}
	for _, o := range []cinderlib.Object{v, s, attached} {
		one, err := o.MarshalJSON()
		require.NoError(t, err)
		told := readByCinder(t, one)
		require.Len(t, told, 1)
		sameFields(t, o, told[0])
	}

	// Every status that may be found in a store.
	var all bytes.Buffer
	all.WriteByte('[')
	add := func(class string, ovo []byte) {
		if all.Len() > 1 {
			all.WriteByte(',')
		}
		all.WriteString(`{"class":"` + class + `","backend":{"volume_backend_name":"disk"},"ovo":`)
		all.Write(ovo)
		all.WriteByte('}')
	}
	for _, status := range []string{
		drivers.StatusCreating, drivers.StatusInUse, drivers.StatusExtending, drivers.StatusReverting, drivers.StatusManaging,
		drivers.StatusDeleting, drivers.StatusError, drivers.StatusErrorDeleting, drivers.StatusDeleted,
	} {
		rec := v.Info()
		rec.Status, rec.PreviousStatus = status, drivers.StatusAvailable
		add("Volume", drivers.VolumeSchema().Append(nil, &rec, nil))
	}
	for _, status := range []string{
		drivers.StatusCreating, drivers.StatusRestoring, drivers.StatusDeleting, drivers.StatusError, drivers.StatusErrorDeleting, drivers.StatusDeleted,
	} {
		rec := s.Info()
		rec.Status = status
		add("Snapshot", drivers.SnapshotSchema().Append(nil, &rec, nil))
	}
	for _, status := range []string{
		"", persistence.AttachReserved, persistence.AttachAttaching, persistence.AttachAttached,
		persistence.AttachErrorDetaching, persistence.AttachDetached,
	} {
		rec := attached.Info()
		rec.AttachStatus = status
		add("Connection", persistence.ConnectionSchema().Append(nil, &rec, nil))
	}
	all.WriteByte(']')
	assert.Len(t, readByCinder(t, all.Bytes()), 21)

	require.NoError(t, v.Detach(ctx))
	require.NoError(t, other.Disconnect(ctx))
}

// sameFields compares what Cinder's object holds with what the document says.
func sameFields(t *testing.T, o cinderlib.Object, told map[string]any) {
	t.Helper()
	text, err := o.MarshalJSON()
	require.NoError(t, err)
	var document struct {
		OVO struct {
			Data map[string]any `json:"versioned_object.data"`
		} `json:"ovo"`
	}
	require.NoError(t, json.Unmarshal(text, &document))
	fields := told["fields"].(map[string]any)
	require.NotEmpty(t, fields)
	for name, value := range fields {
		if inner, ok := document.OVO.Data[name].(map[string]any); ok && inner["versioned_object.name"] != nil {
			continue
		}
		assert.Equal(t, document.OVO.Data[name], value, name)
	}
}
