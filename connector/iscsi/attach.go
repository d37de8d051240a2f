// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/multipath"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fault"
)

func (j *job) attach(ctx context.Context) (*connector.Device, error) {
	before := multipath.Of(j.host, j.wwids)
	device, err := j.build(ctx)
	if err == nil {
		return device, nil
	}
	j.stragglers.Wait() // what they have begun is undone, too
	return nil, fault.Join(err, j.dropEmpty(ctx, before))
}

// dropEmpty removes maps without paths that were not there before: multipathd hears of
// a disk late, and makes its map while the disk is taken back.
func (j *job) dropEmpty(ctx context.Context, before []*multipath.Map) error {
	empty := slices.DeleteFunc(multipath.Of(j.host, j.wwids), func(m *multipath.Map) bool {
		return len(m.Disks) > 0 || slices.ContainsFunc(before, func(b *multipath.Map) bool { return b.DM == m.DM })
	})
	if len(empty) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.limits.undo)
	defer cancel()
	return j.remove(bounded, removal{maps: empty})
}

func (j *job) build(ctx context.Context) (*connector.Device, error) {
	daemon := false
	if j.r.Multipath {
		var err error
		if daemon, err = j.daemon.Running(ctx); err != nil {
			return nil, err
		}
		if !daemon {
			if j.r.EnforceMultipath {
				return nil, multipath.ErrNotRunning
			}
			j.host.Log.WarnContext(ctx, "iscsi: multipathd is not running, one path is used")
		}
	}
	if err := j.awaitOrphans(ctx); err != nil {
		return nil, err
	}
	open := j.openOne
	if daemon {
		open = j.openAll
	}
	paths, err := open(ctx)
	if err != nil {
		return nil, err
	}
	device, err := j.join(ctx, paths, daemon)
	if err == nil {
		err = j.protect(ctx, device, paths)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fault.Join(err, j.undo(ctx, paths))
	}
	return device, nil
}

// protect has the host refuse to write to a volume that is attached to be read, where
// the array would not. A device that was there before may be written to by somebody: it
// is made writable for one who wants to, and not the reverse.
func (j *job) protect(ctx context.Context, device *connector.Device, paths []*path) error {
	want := j.r.Info.Data.Common().AccessMode == connector.ReadOnly
	have := scsi.Attr(j.host, "/sys/block/"+filepath.Base(device.Path)+"/ro") == "1"
	before := slices.ContainsFunc(paths, func(p *path) bool { return p.diskBefore })
	if want == have || want == before {
		return nil
	}
	mode := "--setro"
	if !want {
		mode = "--setrw"
	}
	return j.host.AsRoot(ctx, "blockdev", mode, device.Path)
}

// undo takes back paths that work: the map first, if it is made of nothing else.
func (j *job) undo(ctx context.Context, paths []*path) error {
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.limits.undo)
	defer cancel()
	rm := removal{force: true}
	for _, p := range paths {
		if !p.diskBefore {
			rm.disks = append(rm.disks, p.disk)
		}
	}
	faults := []error{j.remove(bounded, rm)}
	for _, p := range paths {
		faults = append(faults, j.close(bounded, p))
	}
	return fault.Join(faults...)
}

// openOne opens the first target that works. One that has the disk already comes
// first: a call that is repeated gives the same device.
func (j *job) openOne(ctx context.Context) ([]*path, error) {
	targets := slices.Clone(j.targets)
	slices.SortStableFunc(targets, func(a, b target) int { return j.missing(&a) - j.missing(&b) })
	var faults []error
	for _, t := range targets {
		p := j.open(ctx, t)
		if p.err == nil {
			return []*path{p}, nil
		}
		faults = append(faults, p.err)
		if ctx.Err() != nil || fault.CodeOf(p.err) == fault.DataLoss {
			break
		}
	}
	return nil, fault.Join(faults...)
}

func (j *job) missing(t *target) int {
	if s := j.working(t); s != nil {
		if _, ok := s.disk(j.host, t.lun); ok {
			return 0
		}
	}
	return 1
}

// gathering collects paths from goroutines until nobody waits for more.
type gathering struct {
	mu    sync.Mutex
	over  bool
	paths []*path
	more  chan struct{}
}

func (g *gathering) add(p *path) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return false
	}
	g.paths = append(g.paths, p)
	g.more <- struct{}{}
	return true
}

func (g *gathering) stop() []*path {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	return g.paths
}

// openAll opens all targets at the same time. When one works the others have a
// while left; what does not work is missing, and is logged.
func (j *job) openAll(ctx context.Context) ([]*path, error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	g := &gathering{more: make(chan struct{}, len(j.targets))}
	for _, t := range j.targets {
		j.stragglers.Go(func() {
			p := j.open(inner, t)
			if g.add(p) {
				return
			}
			// Nobody waits any more.
			if p.err == nil {
				p.notUndone = j.close(inner, p)
			}
			if p.notUndone != nil {
				j.host.Log.WarnContext(ctx, "iscsi: something of a path is left", slog.String("target", p.String()), slog.Any("error", p.notUndone))
			}
		})
	}
	j.gather(ctx, g)
	good, err := j.sort(ctx, g.stop())
	if err != nil {
		cancel()
		j.stragglers.Wait() // what they have begun is undone too
	}
	return good, err
}

// gather waits for paths: for all, or for some time after the first that works.
func (j *job) gather(ctx context.Context, g *gathering) {
	var over <-chan time.Time
	for range j.targets {
		select {
		case <-g.more:
		case <-over:
			return
		case <-ctx.Done():
			return
		}
		g.mu.Lock()
		works := slices.ContainsFunc(g.paths, func(p *path) bool { return p.err == nil })
		wrong := slices.ContainsFunc(g.paths, func(p *path) bool { return fault.CodeOf(p.err) == fault.DataLoss })
		g.mu.Unlock()
		if wrong {
			return
		}
		if works && over == nil {
			wait := j.limits.others
			if deadline, ok := ctx.Deadline(); ok {
				wait = min(wait, time.Until(deadline)/2)
			}
			timer := time.NewTimer(wait)
			defer timer.Stop()
			over = timer.C
		}
	}
}

// sort keeps the paths that work, in the order of their targets. A path that
// leads to another volume spoils all: something is wrong with the export.
func (j *job) sort(ctx context.Context, paths []*path) ([]*path, error) {
	var good []*path
	var faults []error
	wrong := false
	for _, p := range paths {
		if p.err == nil {
			good = append(good, p)
			continue
		}
		faults = append(faults, p.err)
		wrong = wrong || fault.CodeOf(p.err) == fault.DataLoss
	}
	slices.SortFunc(faults, func(a, b error) int { return rank(a) - rank(b) })
	err := ctx.Err()
	if err == nil && (wrong || len(good) == 0) {
		err = fault.Join(faults...)
	}
	if err != nil {
		return nil, fault.Join(err, j.undo(ctx, good))
	}
	if len(good) < len(j.targets) {
		late := slices.DeleteFunc(slices.Clone(j.targets), func(t target) bool {
			return slices.ContainsFunc(paths, func(p *path) bool { return p.String() == t.String() })
		})
		for _, t := range late {
			faults = append(faults, fmt.Errorf("%s: not there in time", &t))
		}
		j.host.Log.WarnContext(ctx, "iscsi: some paths are missing", slog.Int("paths", len(good)),
			slog.Int("of", len(j.targets)), slog.Any("error", fault.Join(faults...)))
	}
	slices.SortFunc(good, func(a, b *path) int { return a.session.id - b.session.id })
	return good, nil
}

// rank puts what says most about the volume first: it decides the code.
func rank(err error) int {
	switch fault.CodeOf(err) {
	case fault.DataLoss:
		return 0
	case fault.Unauthenticated:
		return 1
	}
	return 2
}

// join makes one device of the paths.
func (j *job) join(ctx context.Context, paths []*path, daemon bool) (*connector.Device, error) {
	first := paths[0].disk
	names := make([]string, 0, len(paths))
	for _, p := range paths {
		if len(j.wwids) == 0 && !connector.SameWWID(p.disk.WWID, first.WWID) && p.disk.WWID+first.WWID != "" {
			return nil, connector.Errorf(connector.ErrWrongDevice, "%s is %s, and %s is %s", first.Node(), naming(first.WWID), p.disk.Node(), naming(p.disk.WWID))
		}
		names = append(names, p.disk.Name)
	}
	device := &connector.Device{Type: "block", Path: first.Node(), WWN: scsi.UdevWWID(first.WWID)}
	m, err := j.mapOf(ctx, names, first, daemon)
	switch {
	case err != nil:
		return nil, err
	case m != nil:
		// The WWID that multipathd found, should the kernel's be another.
		device.Path, device.WWN, device.MultipathID = m.Node(), m.WWID, m.WWID
		return device, nil
	case daemon && j.r.EnforceMultipath:
		return nil, connector.Errorf(connector.ErrPrecondition, "multipathd makes no map of %v within %s", names, j.limits.dm)
	case daemon:
		j.host.Log.WarnContext(ctx, "iscsi: multipathd makes no map, one path is used", slog.Any("paths", names))
	}
	return device, nil
}
