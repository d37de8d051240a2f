// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/blockcopy"
	"github.com/gocinder/cinderlib/internal/fault"
)

// unfinished ends the names of files that are no volumes yet. No identifier
// begins with a dot, as they do.
const unfinished = ".new"

func (p *Plane) file(id string) string { return filepath.Join(p.dir, id) }

func (p *Plane) scratch(id string) string { return filepath.Join(p.dir, "."+id+unfinished) }

// checkID refuses what is no name of a file, or of a backstore.
func checkID(id string) error {
	if id == "" || len(id) > 100 || strings.HasPrefix(id, ".") || strings.ContainsAny(id, "/,\n\x00 ") {
		return fault.Errorf(fault.ErrInvalid, "identifier %q: want 1 to 100 bytes, no leading dot, slash, comma or space", id)
	}
	return nil
}

// Create implements arraysim.Data.
func (p *Plane) Create(ctx context.Context, v arraysim.Volume) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := checkID(v.ID)
	if err == nil {
		err = p.make(ctx, []arraysim.Copy{{To: v}})
	}
	return failed("create "+v.ID, err)
}

// Copy implements arraysim.Data: by reflinks where the file system has them. All
// copies are there when it returns, or none.
func (p *Plane) Copy(ctx context.Context, copies ...arraysim.Copy) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range copies {
		if err := errors.Join(checkID(c.From), checkID(c.To.ID)); err != nil {
			return failed("copy "+c.From, err)
		}
	}
	return failed("copy", p.make(ctx, copies))
}

// make makes volumes under names of their own before any takes its place. From is
// empty where there is nothing to copy.
func (p *Plane) make(ctx context.Context, copies []arraysim.Copy) error {
	defer func() {
		for _, c := range copies {
			_ = os.Remove(p.scratch(c.To.ID)) // those that took their place are gone
		}
	}()
	for _, c := range copies {
		if p.stores[c.To.ID] != nil {
			return fault.Errorf(fault.ErrInUse, "%s: a target shows it", c.To.ID)
		}
		if err := p.fill(ctx, p.scratch(c.To.ID), c); err != nil {
			return fmt.Errorf("%s: %w", c.To.ID, err)
		}
	}
	for i, c := range copies {
		if err := os.Rename(p.scratch(c.To.ID), p.file(c.To.ID)); err != nil {
			for _, done := range copies[:i] {
				_ = os.Remove(p.file(done.To.ID)) // the first error counts
			}
			return err
		}
	}
	for _, c := range copies {
		p.made[c.To.ID] = true
	}
	return nil
}

// fill makes a file with the content and the size of a copy.
func (p *Plane) fill(ctx context.Context, path string, c arraysim.Copy) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if c.From != "" {
		err = p.overwrite(ctx, f, p.file(c.From), c.To.Bytes, true)
	}
	if err == nil {
		err = f.Truncate(c.To.Bytes)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// overwrite puts the content of a file, or its first limit bytes, into f. empty:
// f has none yet.
func (p *Plane) overwrite(ctx context.Context, f *os.File, from string, limit int64, empty bool) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // nothing was written through it
	if reflink(f, src) == nil {
		return nil
	}
	info, err := src.Stat()
	if err != nil {
		return err
	}
	return blockcopy.Copy(ctx, f, src, blockcopy.Options{Bytes: min(info.Size(), limit), Sparse: empty})
}

// ficlone is FICLONE of linux/fs.h, _IOW(0x94, 9, int). "Write" has another bit on
// some machines (asm/ioctl.h).
func ficlone() uintptr {
	if strings.HasPrefix(runtime.GOARCH, "ppc64") || strings.HasPrefix(runtime.GOARCH, "mips") {
		return 0x80049409
	}
	return 0x40049409
}

// reflink has dst share all blocks of src.
func reflink(dst, src *os.File) error {
	_, _, e := syscall.Syscall(syscall.SYS_IOCTL, dst.Fd(), ficlone(), src.Fd())
	runtime.KeepAlive(src)
	runtime.KeepAlive(dst)
	if e != 0 {
		return os.NewSyscallError("reflink", e)
	}
	return nil
}

// Resize implements arraysim.Data. Hosts see the new size when they look for it.
func (p *Plane) Resize(ctx context.Context, id string, bytes int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := checkID(id)
	if err == nil {
		err = p.resize(ctx, id, bytes)
	}
	return failed(fmt.Sprintf("resize %s to %d bytes", id, bytes), err)
}

// resize never lets the kernel show more than the file has.
func (p *Plane) resize(ctx context.Context, id string, bytes int64) error {
	info, err := os.Stat(p.file(id))
	if err != nil {
		return err
	}
	s := p.stores[id]
	if s != nil && bytes < s.bytes {
		if err := s.resize(ctx, bytes); err != nil {
			return err
		}
	}
	if err := os.Truncate(p.file(id), bytes); err != nil {
		return fault.Join(err, s.resize(ctx, info.Size()))
	}
	if err := s.resize(ctx, bytes); err != nil {
		return fault.Join(err, os.Truncate(p.file(id), info.Size()))
	}
	return nil
}

// RollBack implements arraysim.Data. A host that is logged in has the new bytes
// under it; what it keeps in memory is its own affair.
func (p *Plane) RollBack(ctx context.Context, id, from string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := errors.Join(checkID(id), checkID(from))
	if err == nil {
		err = p.rollBack(ctx, id, from)
	}
	return failed("roll back "+id+" to "+from, err)
}

// rollBack replaces the file, unless the kernel has it open: then it gets other
// content, and its own back if that fails.
func (p *Plane) rollBack(ctx context.Context, id, from string) error {
	now, err := os.Stat(p.file(id))
	if err != nil {
		return err
	}
	old, err := os.Stat(p.file(from))
	if err != nil {
		return err
	}
	if p.stores[id] == nil {
		return p.make(ctx, []arraysim.Copy{{From: from, To: arraysim.Volume{ID: id, Bytes: old.Size()}}})
	}
	saved := p.scratch(id)
	defer os.Remove(saved) //nolint:errcheck // New removes it, too
	if err := p.fill(ctx, saved, arraysim.Copy{From: id, To: arraysim.Volume{Bytes: now.Size()}}); err != nil {
		return err
	}
	if err := p.replace(ctx, id, p.file(from), old.Size()); err != nil {
		return fault.Join(err, p.replace(context.WithoutCancel(ctx), id, saved, now.Size()))
	}
	return nil
}

func (p *Plane) replace(ctx context.Context, id, from string, bytes int64) error {
	f, err := os.OpenFile(p.file(id), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = p.overwrite(ctx, f, from, bytes, false)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return p.resize(ctx, id, bytes)
}

// Delete implements arraysim.Data.
func (p *Plane) Delete(_ context.Context, ids ...string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []error
	for _, id := range ids {
		err := checkID(id)
		if err == nil && p.stores[id] != nil {
			err = fault.Errorf(fault.ErrInUse, "a target shows it")
		}
		if err == nil {
			err = os.Remove(p.file(id))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, failed("delete "+id, err))
			continue
		}
		delete(p.made, id)
	}
	return errors.Join(all...)
}
