// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
	_ "github.com/gocinder/cinderlib/persistence/gormdb"
)

// The driver of this file is the driver, which has little patience.
func init() {
	drivers.Register("solidfire-quick", func(ctx context.Context, env drivers.Env, o Options) (drivers.Driver, error) {
		d, err := openWith(ctx, env, o, quick)
		if err != nil {
			return nil, err
		}
		d.patience = 50 * time.Millisecond
		return d, nil
	})
}

// world is a library with a backend, as one process has it.
type world struct {
	lib *cinderlib.Library
	b   *cinderlib.Backend
}

// openWorld makes a world. Those with the same folder share store and locks.
func openWorld(ctx context.Context, folder string, options map[string]any) (*world, error) {
	lib, err := cinderlib.New(
		cinderlib.WithFileLocksPath(filepath.Join(folder, "locks")),
		cinderlib.WithPersistence(map[string]any{"storage": "db", "connection": "sqlite:///" + filepath.Join(folder, "db.sqlite")}),
	)
	if err != nil {
		return nil, err
	}
	all := cinderlib.Options{}
	maps.Copy(all, options)
	all["volume_driver"] = "solidfire-quick"
	b, err := lib.NewBackend(ctx, all)
	if err != nil {
		return nil, fault.Join(err, lib.Close(ctx))
	}
	return &world{lib, b}, nil
}

func (w *world) volume(ctx context.Context, name string) (*cinderlib.Volume, error) {
	if err := w.b.Refresh(ctx); err != nil {
		return nil, err
	}
	all, err := w.b.Volumes(ctx)
	for _, v := range all {
		if v.Name() == name {
			return v, nil
		}
	}
	return nil, fault.Join(err, fmt.Errorf("there is no volume %s", name))
}

// do does what words say: a+ makes the volume a, a- deletes it, a* makes a snapshot of
// it, a/ deletes that, a>b makes b of a, a*>b of a's snapshot, a= extends it, a<
// reverts it, a! connects it, a. disconnects it, ? asks for statistics.
func (w *world) do(ctx context.Context, words string) error {
	for word := range strings.FieldsSeq(words) {
		if err := w.one(ctx, word); err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
	}
	return nil
}

func (w *world) one(ctx context.Context, word string) error {
	if word == "?" {
		_, err := w.b.RefreshStats(ctx)
		return err
	}
	name, op := word[:1], word[1:]
	if op == "+" {
		_, err := w.b.CreateVolume(ctx, 1, cinderlib.WithName(name))
		return err
	}
	v, err := w.volume(ctx, name)
	if err != nil {
		return err
	}
	target, clones := strings.CutPrefix(op, ">")
	switch {
	case op == "-":
		return v.Delete(ctx)
	case op == "=":
		_, err := v.Extend(ctx, 2)
		return err
	case op == "*":
		_, err := v.CreateSnapshot(ctx)
		return err
	case op == "!":
		_, err := v.Connect(ctx, host)
		return err
	case clones:
		_, err := v.Clone(ctx, cinderlib.WithName(target))
		return err
	case op == ".":
		all, err := v.Connections(ctx)
		if err != nil || len(all) == 0 {
			return fault.Join(err, errors.New("there is no connection"))
		}
		return all[0].Disconnect(ctx)
	}
	all, err := v.Snapshots(ctx)
	if err != nil || len(all) == 0 {
		return fault.Join(err, errors.New("there is no snapshot"))
	}
	switch op {
	case "/":
		return all[0].Delete(ctx)
	case "<":
		return v.Revert(ctx, all[0])
	}
	_, err = all[0].CreateVolume(ctx, cinderlib.WithName(strings.TrimPrefix(op, "*>")))
	return err
}

var host = &connector.Properties{
	Platform: "x86_64", OSType: "linux", IP: "192.0.2.1", Host: "host-0", Initiator: "iqn.1994-05.com.example:host-0",
}

// clear deletes all there is.
func (w *world) clear(ctx context.Context) error {
	if err := w.b.Refresh(ctx); err != nil {
		return err
	}
	volumes, err := w.b.Volumes(ctx)
	if err != nil {
		return err
	}
	var faults []error
	for _, v := range volumes {
		connections, err := v.Connections(ctx)
		faults = append(faults, err)
		for _, c := range connections {
			faults = append(faults, c.Disconnect(ctx))
		}
		snapshots, err := v.Snapshots(ctx)
		faults = append(faults, err)
		for _, s := range snapshots {
			faults = append(faults, s.Delete(ctx))
		}
		faults = append(faults, v.Delete(ctx))
	}
	return fault.Join(faults...)
}

// settle does what a program does when it starts again, and finds nothing to do the
// second time.
func (w *world) settle(ctx context.Context) error {
	for round := range 2 {
		settled, err := w.b.Recover(ctx)
		if err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		if round == 1 && len(settled) > 0 {
			return fmt.Errorf("the second Recover still found %+v", settled)
		}
	}
	return nil
}

// requireAgreement: what the cluster has is in the store, once.
func (l *lab) requireAgreement(t *testing.T, w *world, where string) {
	t.Helper()
	require.NoError(t, w.b.Refresh(t.Context()), where)
	volumes, err := w.b.Volumes(t.Context())
	require.NoError(t, err, where)
	records, snapshots := map[string]bool{}, 0
	for _, v := range volumes {
		records["UUID-"+v.ID()] = true
		all, err := v.Snapshots(t.Context())
		require.NoError(t, err, where)
		snapshots += len(all)
	}
	for _, o := range l.volumes(t) {
		assert.True(t, records[o.Name], "%s: the cluster has the volume %d %s twice, or the store has it not", where, o.ID, o.Name)
		delete(records, o.Name)
	}
	assert.LessOrEqual(t, len(l.snapshots(t)), snapshots, where)
}

func (l *lab) volumes(t *testing.T) []volume {
	t.Helper()
	var found struct{ Volumes []volume }
	l.ask(t, "ListVolumes", map[string]any{}, &found)
	return found.Volumes
}

func (l *lab) snapshots(t *testing.T) []snapshot {
	t.Helper()
	var found struct{ Snapshots []snapshot }
	l.ask(t, "ListSnapshots", map[string]any{}, &found)
	return found.Snapshots
}

func (l *lab) requireEmpty(t *testing.T, where string) {
	t.Helper()
	require.Empty(t, l.volumes(t), where)
	require.Empty(t, l.snapshots(t), where)
	var found struct{ VolumeAccessGroups []accessGroup }
	l.ask(t, "ListVolumeAccessGroups", map[string]any{}, &found)
	require.Empty(t, found.VolumeAccessGroups, where)
	require.Empty(t, l.data.Volumes(), where)
}
