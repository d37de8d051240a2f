// SPDX-License-Identifier: Apache-2.0

package local

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/connector"
)

// backing is what a loop device of a connection is known by.
type backing struct {
	path       string // on the host
	real       string // as the kernel shows it: for this process, and without links
	name       string // of the loop device, as lo_file_name
	readOnly   bool
	identified bool   // name has a connection's id
	there      bool   // the file is, and the two below are its
	dev, ino   uint64 // as stat(2) and the loop driver have them alike
}

func (c *local) backingOf(data *connector.LocalData, id string) backing {
	b := backing{path: data.DevicePath, readOnly: data.Shared.AccessMode == connector.ReadOnly}
	b.identified = id != ""
	b.name = "cinderlib:" + id
	if room := len(loopInfo{}.FileName) - 1; len(b.name) > room {
		b.name = fmt.Sprintf("cinderlib:%.16x", sha256.Sum256([]byte(id)))
	}
	b.real = c.host.Path(b.path)
	if real, err := filepath.EvalSymlinks(b.real); err == nil {
		b.real = real
	} else if folder, err := filepath.EvalSymlinks(filepath.Dir(b.real)); err == nil { // the file is gone
		b.real = filepath.Join(folder, filepath.Base(b.real))
	}
	if info, err := os.Stat(b.real); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			b.there, b.dev, b.ino = true, uint64(st.Dev), st.Ino
		}
	}
	return b
}

// lock names the lock under which loop devices of the file are made and removed.
func (b *backing) lock() string {
	if b.there {
		return fmt.Sprintf("loop-%x-%x", b.dev, b.ino)
	}
	return "loop-" + b.path
}

// loop is a loop device with a backing file.
type loop struct {
	number int
	path   string // on the host
	info   loopInfo
	// file is the path of the backing file that the kernel shows; it ends as
	// deleted does if the file was.
	file string
}

const deleted = " (deleted)"

// mayUse tells whether Attach may hand out l for b.
func (l *loop) mayUse(b *backing) bool {
	return l.info.name() == b.name && l.on(b) && l.whole() &&
		l.info.Flags&loFlagsAutoclear == 0 && l.readOnly() == b.readOnly
}

// isOf tells whether Detach of b must remove l.
func (l *loop) isOf(b *backing) bool {
	switch l.info.name() {
	case b.name:
		if !b.identified && l.readOnly() != b.readOnly {
			return false
		}
		return l.on(b) || l.file == b.real+deleted
	case "": // left by a kill in the middle of configureInSteps
		return l.on(b) && l.whole()
	}
	return false
}

func (l *loop) on(b *backing) bool {
	return b.there && l.info.Device == b.dev && l.info.Inode == b.ino
}

func (l *loop) whole() bool    { return l.info.Offset == 0 && l.info.SizeLimit == 0 }
func (l *loop) readOnly() bool { return l.info.Flags&loFlagsReadOnly != 0 }

// loops lists the loop devices of b's file that match.
func (c *local) loops(b *backing, match func(*loop, *backing) bool) ([]loop, error) {
	entries, err := os.ReadDir(c.host.Path("/sys/block"))
	if err != nil {
		return nil, fmt.Errorf("list loop devices: %w", err)
	}
	var found []loop
	for _, e := range entries {
		number, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "loop"))
		if err != nil || !strings.HasPrefix(e.Name(), "loop") {
			continue
		}
		l, err := c.inspect(number, b)
		if err != nil {
			return nil, err
		}
		if l != nil && match(l, b) {
			found = append(found, *l)
		}
	}
	return found, nil
}

// inspect looks at one loop device; it gives nil for one that has no backing
// file, or one of another name. Those are not opened: whoever detaches one of
// them would take us for a user of it. Nor is the path looked at, which may lie
// on a file system that hangs, or in another mount namespace.
func (c *local) inspect(number int, b *backing) (*loop, error) {
	l := &loop{number: number, path: fmt.Sprintf("/dev/loop%d", number)}
	file, err := os.ReadFile(c.host.Path(fmt.Sprintf("/sys/block/loop%d/loop/backing_file", number)))
	if err != nil {
		return nil, nil // no backing file
	}
	l.file = strings.TrimSuffix(string(file), "\n")
	if filepath.Base(strings.TrimSuffix(l.file, deleted)) != filepath.Base(b.real) {
		return nil, nil
	}
	f, err := c.openLoop(l.path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENXIO) {
		return nil, nil // no node here, or removed since
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := status(f)
	if errors.Is(err, syscall.ENXIO) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("status of %s: %w", l.path, err)
	}
	l.info = *info
	return l, nil
}

// openLoop opens a loop device, or /dev/loop-control.
func (c *local) openLoop(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(c.host.Path(path), flag, 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil, connector.Errorf(connector.ErrPermission,
			"loop devices need root: CAP_SYS_ADMIN, and access to /dev/loop-control and /dev/loop*: %w", err)
	}
	return f, err
}

// users says what is on a loop device, as far as that shows.
func (c *local) users(l *loop) string {
	var users []string
	holders, _ := os.ReadDir(c.host.Path(fmt.Sprintf("/sys/block/loop%d/holders", l.number)))
	for _, h := range holders {
		users = append(users, "used by "+h.Name())
	}
	mounts, _ := os.ReadFile(c.host.Path("/proc/self/mountinfo"))
	for line := range strings.Lines(string(mounts)) {
		// proc_pid_mountinfo(5); 7 is the major number of loop devices (Documentation/admin-guide/devices.txt)
		if field := strings.Fields(line); len(field) > 4 && field[2] == fmt.Sprintf("7:%d", l.number) {
			users = append(users, "mounted on "+filepath.Clean(field[4]))
		}
	}
	if users == nil {
		return "somebody has it open"
	}
	return strings.Join(users, ", ")
}
