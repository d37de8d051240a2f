// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/blockcopy"
	"github.com/gocinder/cinderlib/internal/poll"
)

// settle is how often what is open is looked at again, and how long in between:
// udev and multipathd open a device that is new or has changed for moments.
const (
	settleTries = 12
	settlePause = 400 * time.Millisecond
)

// remove removes LVs with one program, after the content of thick ones was
// cleared.
func (d *Driver) remove(ctx context.Context, list []lv) error {
	if len(list) == 0 {
		return nil
	}
	args := []string{"lvremove", "--config", "activation { retry_deactivation = 1 }", "-f"}
	for i := range list {
		l := &list[i]
		if err := d.free(ctx, l); err != nil {
			return err
		}
		if !l.thin() && d.o.Clear == "zero" {
			if err := d.clear(ctx, l); err != nil && !errors.Is(err, drivers.ErrNotFound) {
				return fmt.Errorf("clear %s: %w", l.name, err)
			}
		}
		args = append(args, d.group+"/"+l.name)
	}
	err := d.change(ctx, args...)
	switch {
	case errors.Is(err, drivers.ErrNotFound): // the others were removed all the same
		return nil
	case errors.Is(err, drivers.ErrInUse):
		return d.explain(ctx, list, err)
	}
	return err
}

// clear makes the content of a thick LV zeros. Of a snapshot that is what LVM
// keeps of the changed blocks: to write to the snapshot itself would have LVM
// save every block first.
func (d *Driver) clear(ctx context.Context, l *lv) error {
	if l.merging() {
		return drivers.Errorf(drivers.ErrInUse, "its snapshot is being merged")
	}
	if err := d.activate(ctx, l.name); err != nil {
		return err
	}
	path, bytes, flags := d.device(l.name), l.size, syscall.O_EXCL
	if l.isCOW() {
		path, bytes, flags = path+"-cow", l.size, 0
	}
	if most := d.o.ClearSize << 20; most > 0 {
		bytes = min(bytes, most)
	}
	for n := 1; ; n++ {
		f, err := d.openFile(d.env.Host.Path(path), os.O_WRONLY|flags, 0)
		switch {
		case errors.Is(err, syscall.EBUSY) && n == settleTries:
			return d.explain(ctx, []lv{*l}, drivers.Errorf(drivers.ErrInUse, "%w", err))
		case errors.Is(err, syscall.EBUSY):
			if err := poll.Pause(ctx, settlePause); err != nil {
				return err
			}
			continue
		}
		return d.zeros(ctx, f, err, d.env.Host.Path(path), 0, bytes)
	}
}

// zeros makes an LV that was opened zeros, and closes it; one that this process
// may not open it has made zeros as root.
func (d *Driver) zeros(ctx context.Context, f *os.File, opening error, path string, from, bytes int64) error {
	o := blockcopy.Options{Bytes: bytes, BytesPerSecond: d.o.CopyBytesPerSecond}
	if errors.Is(opening, fs.ErrPermission) && os.Geteuid() != 0 {
		return blockcopy.ZeroBy(ctx, d.env.Host.AsRoot, path, from, o)
	}
	if opening != nil {
		return opening
	}
	return errors.Join(d.zero(ctx, f, from, o), f.Close())
}

// free waits until nobody has an LV open. ErrInUse: somebody keeps it.
func (d *Driver) free(ctx context.Context, l *lv) error {
	for n := 1; l.open(); n++ {
		if n == settleTries || d.exporter(ctx, l.name) != "" { // which keeps it
			return d.explain(ctx, []lv{*l}, drivers.Errorf(drivers.ErrInUse, "%s is open", l.name))
		}
		if err := poll.Pause(ctx, settlePause); err != nil {
			return err
		}
		now, err := d.named(ctx, l.name)
		if err != nil || len(now) == 0 { // it is gone
			return err
		}
		*l = now[0]
	}
	return nil
}

// explain adds to an error that says in use by whom.
func (d *Driver) explain(ctx context.Context, list []lv, err error) error {
	for i := range list {
		if exporter := d.exporter(ctx, list[i].name); exporter != "" {
			return fmt.Errorf("%w (%s)", err, exporter)
		}
		if h := d.holders(list[i].name); len(h) > 0 {
			return fmt.Errorf("%w (held by %s)", err, strings.Join(h, ", "))
		}
	}
	return err
}

// exporter says as what an LV is exported, and who is logged in to it; empty if it
// is not.
func (d *Driver) exporter(ctx context.Context, name string) string {
	iqn := strings.ToLower(d.prefix + name)
	t, err := d.target.Target(ctx, iqn)
	if err != nil || t == nil {
		return ""
	}
	users := "nobody is logged in"
	if sessions, err := d.target.Sessions(ctx, iqn); err == nil && len(sessions) > 0 {
		names := make([]string, 0, len(sessions))
		for _, s := range sessions {
			names = append(names, s.Initiator)
		}
		users = strings.Join(names, ", ") + " logged in"
	}
	return "it is exported as " + iqn + ", " + users
}

// holders are the devices that were made upon an LV: LVM, for one, takes up the
// groups of guests.
func (d *Driver) holders(name string) []string {
	host := d.env.Host
	blocks, _ := os.ReadDir(host.Path("/sys/block"))
	for _, b := range blocks {
		folder := "/sys/block/" + b.Name()
		text, err := os.ReadFile(host.Path(folder + "/dm/name"))
		if err != nil || strings.TrimSpace(string(text)) != deviceName(d.group, name) {
			continue
		}
		var found []string
		upon, _ := os.ReadDir(host.Path(folder + "/holders"))
		for _, u := range upon {
			label := u.Name()
			if text, err := os.ReadFile(host.Path("/sys/block/" + label + "/dm/name")); err == nil {
				label = strings.TrimSpace(string(text))
			}
			found = append(found, label)
		}
		return found
	}
	return nil
}
