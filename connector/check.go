// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/gocinder/cinderlib/internal/hostfile"
)

// Check looks at r.Device, a file or block device of this host, before anybody
// is given it: it must not be smaller than r.SizeBytes, must be one of the WWIDs
// that r.Info has, if it has some and the kernel knows the device's, and its
// first 4 KiB must be readable. The first two failing are ErrWrongDevice, the
// last is ErrDeviceNotUsable; a path that is not there is ErrNotFound, one that
// neither we nor the root helper may read ErrPermission. Nothing is changed;
// Check may be repeated.
//
// When ctx ends Check returns at once. A read that hangs in the kernel cannot be
// taken back: it keeps a thread until the kernel gives it up, so bound what
// makes devices hang (multipath's queue_if_no_path) and not only ctx.
func (h *Host) Check(ctx context.Context, r Request) error {
	if r.Device == nil || r.Device.Path == "" {
		return Errorf(ErrInvalid, "no device to check")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("check %s: %w", r.Device.Path, err)
	}
	// Copies: a read that hangs outlives the call, and the request is the caller's.
	c := check{host: h, path: r.Device.Path, least: r.SizeBytes}
	if r.Info != nil && r.Info.Data != nil {
		c.wwids = slices.Clone(r.Info.Data.Common().DeviceWWIDs)
	}
	return within(ctx, "check "+c.path, func() error { return c.run(ctx) })
}

// Size gives the size in bytes of a file or block device of the host. A path that
// is not there is ErrNotFound, one that is neither is ErrInvalid.
func (h *Host) Size(path string) (int64, error) {
	c := check{host: h, path: path}
	sysfs, info, err := c.look()
	if err != nil {
		return 0, err
	}
	return c.size(sysfs, info)
}

// within runs f and waits for it until ctx ends. f is then left to itself.
func within(ctx context.Context, what string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: no answer: %w", what, ctx.Err())
	}
}

// check is one call of Check.
type check struct {
	host  *Host
	path  string
	least int64
	wwids []string
}

// run looks at what costs nothing first: identity before content.
func (c *check) run(ctx context.Context) error {
	sysfs, info, err := c.look()
	if err != nil {
		return err
	}
	// States of a SCSI device (drivers/scsi/scsi_sysfs.c) in which a read fails, or
	// waits for ever.
	switch state := c.attr(sysfs, "device/state"); state {
	case "offline", "transport-offline", "deleted", "cancel":
		return Errorf(ErrDeviceNotUsable, "device %s is %s", c.path, state)
	}
	size, err := c.size(sysfs, info)
	switch {
	case err != nil:
		return err
	case size < c.least:
		return Errorf(ErrWrongDevice, "device %s has %d bytes, and the volume %d", c.path, size, c.least)
	case size == 0:
		return Errorf(ErrDeviceNotUsable, "device %s has no content", c.path)
	}
	if wwid := c.wwid(sysfs); wwid != "" && len(c.wwids) > 0 &&
		!slices.ContainsFunc(c.wwids, func(w string) bool { return SameWWID(w, wwid) }) {
		return Errorf(ErrWrongDevice, "device %s is %s, and the volume %s", c.path, wwid, strings.Join(c.wwids, ", "))
	}
	return c.read(ctx)
}

// look finds the file or device, and the folder of a device in /sys.
func (c *check) look() (sysfs string, info os.FileInfo, err error) {
	info, err = os.Stat(c.host.Path(c.path))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, Errorf(ErrNotFound, "device %s: %w", c.path, syscall.ENOENT)
	}
	if err != nil {
		return "", nil, fmt.Errorf("device %s: %w", c.path, err)
	}
	sysfs, ok := c.sysfs(info)
	if !ok {
		return "", nil, Errorf(ErrInvalid, "device %s is neither a file nor a block device", c.path)
	}
	return sysfs, info, nil
}

// sysfs finds the device in /sys: by its number or, on a host that is simulated
// in a folder where devices are files, by its name. It is empty for a file.
func (c *check) sysfs(info os.FileInfo) (folder string, ok bool) {
	switch mode := info.Mode(); {
	case mode.IsRegular() && c.host.Root == "":
		return "", true
	case mode.IsRegular():
		real, err := filepath.EvalSymlinks(c.host.Path(c.path))
		folder := c.host.Path("/sys/block/" + filepath.Base(real))
		if _, none := os.Stat(folder); err != nil || none != nil || filepath.Dir(real) != c.host.Path("/dev") {
			return "", true
		}
		return folder, true
	}
	major, minor, ok := hostfile.BlockDevice(info)
	if !ok {
		return "", false
	}
	return c.host.Path(fmt.Sprintf("/sys/dev/block/%d:%d", major, minor)), true
}

func (c *check) attr(sysfs, name string) string {
	if sysfs == "" {
		return ""
	}
	data, err := os.ReadFile(filepath.Join(sysfs, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// size is the size in bytes: of a block device what sysfs says, in sectors of
// 512 bytes, and the end of the device without sysfs.
func (c *check) size(sysfs string, info os.FileInfo) (int64, error) {
	if sysfs == "" {
		return info.Size(), nil
	}
	if sectors, err := strconv.ParseInt(c.attr(sysfs, "size"), 10, 64); err == nil {
		return sectors * 512, nil
	}
	f, err := os.Open(c.host.Path(c.path))
	if err == nil {
		defer f.Close() //nolint:errcheck // only read
		var size int64
		if size, err = f.Seek(0, io.SeekEnd); err == nil {
			return size, nil
		}
	}
	return 0, fmt.Errorf("size of device %s: %w", c.path, err)
}

// wwid is the identity the kernel knows: of a SCSI disk, an NVMe namespace, or a
// multipath map, which has it in its UUID.
func (c *check) wwid(sysfs string) string {
	for _, name := range []string{"device/wwid", "wwid"} {
		if wwid := c.attr(sysfs, name); wwid != "" {
			return wwid
		}
	}
	wwid, ok := strings.CutPrefix(c.attr(sysfs, "dm/uuid"), "mpath-")
	if !ok {
		return ""
	}
	return wwid
}

// read reads the first block, or has it read as root.
func (c *check) read(ctx context.Context) error {
	path := c.host.Path(c.path)
	err := readBlock(path)
	if errors.Is(err, fs.ErrPermission) {
		r, ddErr := c.host.Run.Run(ctx, Command{
			Args: []string{"dd", "if=" + path, "of=/dev/null", "bs=4096", "count=1"}, Root: true,
		})
		if ddErr != nil && ctx.Err() == nil && (r.Code <= 0 || errors.Is(ddErr, ErrPermission) || denied(r.Stderr)) {
			return Errorf(ErrPermission, "read device %s: %w; as root: %w", c.path, err, ddErr)
		}
		err = ddErr
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("read device %s: %w", c.path, err)
	}
	return Errorf(ErrDeviceNotUsable, "read device %s: %w", c.path, err)
}

// denied tells whether a program was run without the rights it needs, which is
// what an empty root helper comes to.
func denied(stderr []byte) bool {
	return bytes.Contains(stderr, []byte("Permission denied")) || bytes.Contains(stderr, []byte("Operation not permitted"))
}

// readBlock reads the first 4 KiB, past the page cache where that can be: what
// an earlier device of the same name left there would hide a fault.
func readBlock(path string) error {
	const block = 4096
	buffer := make([]byte, 2*block)
	at := block - int(uintptr(unsafe.Pointer(&buffer[0]))%block)
	var err error
	for _, flag := range []int{syscall.O_DIRECT, 0} {
		var f *os.File
		if f, err = os.OpenFile(path, os.O_RDONLY|flag, 0); err == nil {
			_, err = f.Read(buffer[at : at+block])
			_ = f.Close() // only read
		}
		if !errors.Is(err, syscall.EINVAL) { // not every file system knows O_DIRECT
			break
		}
	}
	return err
}
