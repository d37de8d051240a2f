// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

func init() {
	drivers.Register("file", open, drivers.Describe(Version, "sparse files in a directory of this host"))
}

var (
	_ drivers.Driver   = (*Driver)(nil)
	_ drivers.Reverter = (*Driver)(nil)
	_ drivers.Retyper  = (*Driver)(nil)
	_ drivers.Manager  = (*Driver)(nil)
)

// Driver keeps volumes as files. It has no state of its own: everything is in
// the directory.
type Driver struct {
	env      drivers.Env
	dir      string   // as this process sees it
	hostDir  string   // as the host sees it, which is what connections tell
	handle   *os.File // the directory, open so that it cannot be unmounted unseen
	identity fs.FileInfo
	lock     string // name of the host-wide lock
	boot     string // which boot of the host this is; empty if it does not tell
	loop     bool
	reserved int // percentage of the capacity
	ratio    float64
	speed    int64 // of copies, bytes a second
	nameless bool  // files can be made without a name and get one later

	// What the kernel does; tests put something else in.
	space func(dir string) (space, error)
	share func(dst, src *os.File) error
}

func open(ctx context.Context, env drivers.Env, o Options) (drivers.Driver, error) {
	ratio, err := o.OverSubscription()
	if err != nil {
		return nil, err
	}
	hostDir, err := filepath.Abs(o.Directory)
	if err != nil {
		return nil, failed("open", o.Directory, err)
	}
	d := &Driver{
		env: env, dir: env.Host.Path(hostDir), hostDir: hostDir, boot: bootID(),
		loop: o.Attach == "loop", reserved: o.ReservedPercentage, ratio: ratio,
		speed: o.CopyBytesPerSecond, space: statfs, share: reflink,
	}
	if err := d.enter(); err != nil {
		return nil, failed("open", d.dir, err)
	}
	if err := d.sweep(); err != nil { // the next one may: it holds nobody up
		env.Log.LogAttrs(ctx, slog.LevelWarn, "leftovers were not removed", slog.Any("error", err))
	}
	return d, nil
}

// enter finds the directory, or makes it, and checks that it can be used.
func (d *Driver) enter() error {
	info, err := os.Stat(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(d.dir, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
			info, err = os.Stat(d.dir)
		}
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return drivers.Errorf(drivers.ErrInvalid, "it is not a directory")
	}
	if err := syscall.Access(d.dir, rwx); err != nil {
		return os.NewSyscallError("access", err)
	}
	resolved, err := filepath.EvalSymlinks(d.dir)
	if err != nil {
		return err
	}
	d.lock = "file:" + resolved
	_, err = os.Stat("/proc/self/fd")
	d.nameless = err == nil
	if d.handle, err = os.Open(d.dir); err != nil {
		return err
	}
	if d.identity, err = d.handle.Stat(); err != nil {
		return fault.Join(err, d.handle.Close())
	}
	return nil
}

// Stats asks the file system, and looks at every file.
func (d *Driver) Stats(ctx context.Context) (*drivers.Stats, error) {
	s, c, err := d.survey(ctx)
	if err != nil {
		return nil, failed("statistics of", d.dir, err)
	}
	return &drivers.Stats{
		BackendName:     d.env.Backend,
		VendorName:      "cinderlib",
		DriverVersion:   Version,
		StorageProtocol: connector.ProtocolLocal,
		SparseCopy:      true,
		Pools: []drivers.PoolStats{{
			Name:                d.env.Backend,
			Total:               s.capacity(s.total),
			Free:                s.capacity(s.free),
			Provisioned:         drivers.Capacity(hundredths(c.provisioned)),
			Allocated:           drivers.Capacity(hundredths(c.occupied)),
			ReservedPercentage:  d.reserved,
			MaxOverSubscription: d.ratio,
			ThinProvisioning:    true,
			MultiAttach:         true,
			TotalVolumes:        c.volumes,
		}},
	}, nil
}

// CreateVolume makes an empty sparse file.
func (d *Driver) CreateVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	name, err := volumeName(v)
	if err == nil {
		err = d.make(ctx, name, v.Size, nil)
	}
	return nil, failed("create", name, err)
}

// DeleteVolume removes the file. Neither snapshots nor clones need it.
func (d *Driver) DeleteVolume(ctx context.Context, v *drivers.Volume) error {
	name, err := volumeName(v)
	if err == nil {
		err = d.remove(ctx, name)
	}
	return failed("delete", name, err)
}

// ExtendVolume grows the file; who has it open sees that at once. ErrInvalid: it
// is larger than size already.
func (d *Driver) ExtendVolume(ctx context.Context, v *drivers.Volume, size int) error {
	name, err := volumeName(v)
	if err == nil {
		err = d.grow(ctx, name, size)
	}
	return failed("extend", name, err)
}

// CloneVolume shares or copies the content of src. ErrInUse: src is connected,
// and the file system has no reflinks.
func (d *Driver) CloneVolume(ctx context.Context, v, src *drivers.Volume) (*drivers.VolumeUpdate, error) {
	name, err := volumeName(v)
	if err == nil {
		err = d.makeOf(ctx, name, v.Size, source{size: src.Size, moving: connected(src)}, func() (string, error) { return volumeName(src) })
	}
	return nil, failed("clone to", name, err)
}

// RetypeVolume has nothing to change: files have no types.
func (d *Driver) RetypeVolume(ctx context.Context, v *drivers.Volume, _ *drivers.VolumeType) (*drivers.VolumeUpdate, error) {
	_, err := d.InspectVolume(ctx, v)
	return nil, err
}

// InspectVolume looks at the file.
func (d *Driver) InspectVolume(ctx context.Context, v *drivers.Volume) (*drivers.VolumeState, error) {
	name, err := volumeName(v)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, failed("inspect", name, err)
	}
	info, err := d.stat(name)
	if err != nil {
		return nil, failed("inspect", name, err)
	}
	return &drivers.VolumeState{SizeBytes: info.Size()}, nil
}

// CreateSnapshot shares or copies the content of v. ErrInUse: v is connected,
// and the file system has no reflinks.
func (d *Driver) CreateSnapshot(ctx context.Context, s *drivers.Snapshot, v *drivers.Volume) (*drivers.SnapshotUpdate, error) {
	name, err := snapshotName(s)
	if err == nil {
		err = d.makeOf(ctx, name, s.VolumeSize, source{size: s.VolumeSize, moving: connected(v)}, func() (string, error) { return volumeName(v) })
	}
	return nil, failed("create", name, err)
}

// DeleteSnapshot removes the file. What was made from it does not need it.
func (d *Driver) DeleteSnapshot(ctx context.Context, s *drivers.Snapshot, _ *drivers.Volume) error {
	name, err := snapshotName(s)
	if err == nil {
		err = d.remove(ctx, name)
	}
	return failed("delete", name, err)
}

// VolumeFromSnapshot shares or copies the content of s.
func (d *Driver) VolumeFromSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot, _ *drivers.Volume) (*drivers.VolumeUpdate, error) {
	name, err := volumeName(v)
	if err == nil {
		err = d.makeOf(ctx, name, v.Size, source{size: s.VolumeSize}, func() (string, error) { return snapshotName(s) })
	}
	return nil, failed("create", name, err)
}

// Export has nothing to do.
func (d *Driver) Export(context.Context, *drivers.Volume) (*drivers.VolumeUpdate, error) {
	return nil, nil //nolint:nilnil // no update is success
}

// Unexport has nothing to do.
func (d *Driver) Unexport(context.Context, *drivers.Volume) error { return nil }

// Connect tells where the file is. Every host is taken for this one.
func (d *Driver) Connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	name, err := volumeName(v)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		_, err = d.stat(name)
	}
	if err != nil {
		return nil, failed("connect", name, err)
	}
	data := &connector.LocalData{DevicePath: filepath.Join(d.hostDir, name), Loop: d.loop}
	data.Shared.VolumeID = v.ID
	data.Shared.AccessMode = a.Mode
	return &connector.ConnInfo{Protocol: connector.ProtocolLocal, Data: data}, nil
}

// Disconnect has nothing to do.
func (d *Driver) Disconnect(context.Context, *drivers.Volume, *drivers.Attachment) error { return nil }

// RevertToSnapshot puts a clone of the snapshot, grown to the size of the
// volume, in the volume's place, at one instant. ErrInUse: v is connected.
func (d *Driver) RevertToSnapshot(ctx context.Context, v *drivers.Volume, s *drivers.Snapshot) error {
	name, err := volumeName(v)
	if err == nil {
		err = d.revert(ctx, name, v, s)
	}
	return failed("revert", name, err)
}

// Close lets go of the directory.
func (d *Driver) Close() error {
	if err := d.handle.Close(); !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}
