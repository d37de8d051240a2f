// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/fault"
)

// Options of a Plane.
type Options struct {
	// Keep leaves the volumes' files when the Plane is closed, for the next one on
	// the same folder.
	Keep bool
	// Modprobe loads a kernel module. nil: one that is missing, and that the kernel
	// does not load by itself, is an error.
	Modprobe func(ctx context.Context, module string) error
}

// Plane is a data plane on this machine's kernel. Its methods may be called at the
// same time. No step in the kernel ends with a context.
type Plane struct {
	dir string
	o   Options

	mu      sync.Mutex
	madeDir bool
	made    map[string]bool // volumes of this Plane
	shown   map[string]arraysim.Target
	stores  map[string]*store // by volume
	adapter string            // the folder of the stores; empty: not yet made
	isReady bool
}

var _ arraysim.Data = (*Plane)(nil)

// maxPath is FD_MAX_DEV_NAME, drivers/target/target_core_file.h, less what a name
// may have.
const maxPath = 255 - 101

// New makes a Plane whose volumes are files of a folder, which it makes if need
// be. Volumes that are there already stay; files of copies that were not finished
// go. Nothing is done to the kernel before the first Expose, which takes away what
// another Plane that was killed showed of the same folder. ErrInvalid: the path is
// too long for the kernel, or has a comma.
func New(dir string, o Options) (*Plane, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, failed("open "+dir, err)
	}
	if len(path) > maxPath || strings.ContainsAny(path, ",\n") {
		return nil, failed("open "+dir, fault.Errorf(fault.ErrInvalid, "want a path of at most %d bytes without commas and newlines", maxPath))
	}
	_, missing := os.Stat(path)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, failed("open "+dir, err)
	}
	left, err := filepath.Glob(filepath.Join(path, ".*"+unfinished))
	if err != nil {
		return nil, failed("open "+dir, err)
	}
	for _, file := range left {
		if err := os.Remove(file); err != nil {
			return nil, failed("open "+dir, err)
		}
	}
	return &Plane{
		dir: path, o: o, madeDir: missing != nil,
		made: map[string]bool{}, shown: map[string]arraysim.Target{}, stores: map[string]*store{},
	}, nil
}

// failed says what was being done. A nil err stays nil.
func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("targets: %s: %w", what, err)
}

// Expose implements arraysim.Data. If it fails, the target is made what it was
// before, as far as the kernel lets it. What LIO cannot is errors.ErrUnsupported;
// what cannot be is fault.ErrInvalid; a volume that there is not is
// fs.ErrNotExist.
func (p *Plane) Expose(ctx context.Context, t arraysim.Target) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return failed("expose "+t.IQN, p.expose(ctx, t))
}

func (p *Plane) expose(ctx context.Context, t arraysim.Target) error {
	want, err := newPlan(t)
	if err != nil {
		return err
	}
	if err := p.ready(ctx); err != nil {
		return err
	}
	if err := p.converge(ctx, want); err != nil {
		return fault.Join(err, p.takeBack(ctx, want.iqn), p.collect(ctx))
	}
	p.shown[want.iqn] = t
	_ = p.collect(ctx) // what stays is tried again, and Close tells
	return nil
}

// takeBack makes a target what it was before.
func (p *Plane) takeBack(ctx context.Context, iqn string) error {
	before, there := p.shown[iqn]
	if !there {
		return removeTarget(ctx, iqn)
	}
	want, err := newPlan(before)
	if err != nil {
		return err
	}
	return p.converge(ctx, want)
}

// Hide implements arraysim.Data. What fails is taken back as far as the kernel lets
// it, without the sessions.
func (p *Plane) Hide(ctx context.Context, iqn string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return failed("hide "+iqn, p.hide(ctx, strings.ToLower(iqn)))
}

func (p *Plane) hide(ctx context.Context, iqn string) error {
	if err := checkName(iqn); err != nil {
		return err
	}
	if err := removeTarget(ctx, iqn); err != nil {
		if _, there := p.shown[iqn]; there {
			err = fault.Join(err, p.takeBack(ctx, iqn))
		}
		return err
	}
	delete(p.shown, iqn)
	_ = p.collect(ctx) // as above
	return nil
}

// collect removes the backstores that no target has.
func (p *Plane) collect(ctx context.Context) error {
	used := map[string]bool{}
	for _, t := range p.shown {
		for _, a := range t.Access {
			for _, l := range a.LUNs {
				used[l.Volume] = true
			}
		}
	}
	var all []error
	for _, id := range slices.Sorted(maps.Keys(p.stores)) {
		if !used[id] {
			all = append(all, p.closeStore(ctx, id))
		}
	}
	return fault.Join(all...)
}

// Close removes all targets of the Plane, with their sessions, its backstores, and
// its volumes unless Options.Keep is set. It goes on when something fails, and may
// be repeated. The Plane may be used afterwards.
func (p *Plane) Close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []error
	for _, iqn := range slices.Sorted(maps.Keys(p.shown)) {
		err := removeTarget(ctx, iqn)
		if err == nil {
			delete(p.shown, iqn)
		}
		all = append(all, err)
	}
	all = append(all, p.collect(ctx))
	if p.adapter != "" {
		err := drop(ctx, p.adapter)
		if err == nil {
			p.adapter = ""
		}
		all = append(all, err)
	}
	if !p.o.Keep {
		all = append(all, p.removeFiles())
	}
	return failed("close", fault.Join(all...))
}

func (p *Plane) removeFiles() error {
	var all []error
	for id := range p.made {
		if err := os.Remove(p.file(id)); err != nil && !os.IsNotExist(err) {
			all = append(all, err)
			continue
		}
		delete(p.made, id)
	}
	if p.madeDir {
		_ = os.Remove(p.dir) // somebody else's file keeps it
	}
	return fault.Join(all...)
}
