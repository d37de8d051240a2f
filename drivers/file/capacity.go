// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/fault"
)

// How much may be provisioned is bounded, so every call that makes or grows an
// object must know the sum of all sizes. Reading it off the directory takes
// longer with every file there is. Instead the file .provisioned has an upper
// bound of it, which costs the same however many files there are:
//
//   - under the directory's host-wide lock, the bound is raised by what an object
//     adds, and then the object gets its name or size: a kill between the two
//     leaves the bound too high, never too low;
//   - deleting leaves it as it is: still an upper bound;
//   - only where the bound says that there is no room the directory is read, and
//     the truth takes the bound's place.
//
// The bound is not flushed. It has the boot it was written in, and one of
// another boot, or of another host on a shared file system, is not believed. What
// is put into the directory by other means counts from the next time it is read,
// which Stats always does.
const boundName = ".provisioned"

// space is what a file system has, in bytes. One that is not limited says 0.
type space struct{ total, free float64 }

func (s space) limited() bool { return s.total > 0 }

func (s space) capacity(bytes float64) drivers.Capacity {
	if !s.limited() {
		return drivers.Infinite
	}
	return drivers.Capacity(hundredths(int64(bytes)))
}

// hundredths gives bytes in GiB with two decimals.
func hundredths(bytes int64) float64 { return math.Round(float64(bytes)/drivers.GiB*100) / 100 }

// census is what the directory holds, in bytes.
type census struct {
	provisioned int64 // what the objects may grow to
	occupied    int64 // what they take
	volumes     int
}

func (d *Driver) count() (census, error) {
	names, err := d.list()
	if err != nil {
		return census{}, err
	}
	var c census
	for _, name := range names {
		volume := strings.HasPrefix(name, volumePrefix)
		if !volume && !strings.HasPrefix(name, snapshotPrefix) {
			continue
		}
		info, err := os.Lstat(d.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return census{}, err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		c.provisioned = sum(c.provisioned, info.Size())
		c.occupied = sum(c.occupied, occupied(info))
		if volume {
			c.volumes++
		}
	}
	return c, nil
}

// sum adds sizes; there are file systems where two files are more than an int64.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// survey counts everything, which also puts the bound right.
func (d *Driver) survey(ctx context.Context) (space, census, error) {
	unlock, err := d.env.Host.Locks.Lock(ctx, d.lock)
	if err != nil {
		return space{}, census{}, err
	}
	defer unlock()
	s, err := d.space(d.dir)
	if err != nil {
		return space{}, census{}, err
	}
	c, err := d.count()
	if err != nil {
		return space{}, census{}, err
	}
	return s, c, d.writeBound(c.provisioned)
}

// book checks that there is room for bytes more, and has commit take it.
func (d *Driver) book(ctx context.Context, bytes int64, commit func() error) error {
	unlock, err := d.env.Host.Locks.Lock(ctx, d.lock)
	if err != nil {
		return err
	}
	defer unlock()
	provisioned, err := d.fits(bytes)
	if err != nil {
		return err
	}
	if err := d.writeBound(sum(provisioned, bytes)); err != nil {
		return err
	}
	return commit()
}

// fits checks that there is room for bytes more, and gives what is provisioned
// at most. ErrExhausted: there is none. Without the lock of the directory it is
// only an early hint.
func (d *Driver) fits(bytes int64) (int64, error) {
	s, err := d.space(d.dir)
	if err != nil {
		return 0, err
	}
	if keep := d.kept(s); s.limited() && s.free <= keep {
		return 0, drivers.Errorf(drivers.ErrExhausted, "%s has %s of %s free, and %s are reserved", d.dir, gib(s.free), gib(s.total), gib(keep))
	}
	most := s.total * d.ratio
	if !s.limited() {
		most = math.Inf(1)
	}
	provisioned, known := d.readBound()
	if known && float64(provisioned)+float64(bytes) <= most {
		return provisioned, nil
	}
	c, err := d.count()
	if err != nil {
		return 0, err
	}
	if float64(c.provisioned)+float64(bytes) > most {
		return 0, drivers.Errorf(drivers.ErrExhausted, "%s are needed, but only %s are left to provision in %s: %s × %.4g (max_over_subscription_ratio), less %s that are provisioned",
			gib(bytes), gib(max(0, most-float64(c.provisioned))), d.dir, gib(s.total), d.ratio, gib(c.provisioned))
	}
	return c.provisioned, nil
}

// kept is what is reserved.
func (d *Driver) kept(s space) float64 { return s.total * float64(d.reserved) / 100 }

// affords checks that a copy of a file can be had without using what is
// reserved.
func (d *Driver) affords(file fs.FileInfo) error {
	s, err := d.space(d.dir)
	if err != nil {
		return err
	}
	left := s.free - d.kept(s)
	if need := occupied(file); s.limited() && float64(need) > left {
		return drivers.Errorf(drivers.ErrExhausted, "%s are needed for a copy of %s, but %s has only %s free that are not reserved", gib(need), file.Name(), d.dir, gib(max(0, left)))
	}
	return nil
}

// boundFormat has a fixed width, so that writing it again replaces all of it.
const boundFormat = "%s %020d\n"

func (d *Driver) readBound() (int64, bool) {
	if d.boot == "" {
		return 0, false
	}
	f, err := os.OpenFile(d.path(boundName), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return 0, false
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return 0, false
	}
	var boot string
	var bytes int64
	if _, err := fmt.Sscanf(string(text), "%s %d\n", &boot, &bytes); err != nil || boot != d.boot || bytes < 0 {
		return 0, false
	}
	return bytes, string(text) == fmt.Sprintf(boundFormat, boot, bytes)
}

// writeBound is called with the lock of the directory held. Where the bound
// cannot be written it is removed, because an old one would be too low.
func (d *Driver) writeBound(bytes int64) error {
	path := d.path(boundName)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err == nil {
		n, writeErr := fmt.Fprintf(f, boundFormat, d.boot, bytes)
		err = fault.Join(writeErr, f.Truncate(int64(n)), f.Close())
	}
	if err == nil {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
