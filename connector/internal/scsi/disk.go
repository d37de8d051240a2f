// SPDX-License-Identifier: Apache-2.0

package scsi

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/hostfile"
)

// Address is H:C:T:L, where a SCSI device is.
type Address struct{ Host, Channel, Target, LUN int }

// ParseAddress reads the name of a SCSI device in sysfs.
func ParseAddress(name string) (a Address, ok bool) {
	parts := strings.Split(name, ":")
	if len(parts) != 4 {
		return a, false
	}
	for i, to := range []*int{&a.Host, &a.Channel, &a.Target, &a.LUN} {
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < 0 {
			return a, false
		}
		*to = n
	}
	return a, true
}

func (a Address) String() string {
	return strconv.Itoa(a.Host) + ":" + strconv.Itoa(a.Channel) + ":" + strconv.Itoa(a.Target) + ":" + strconv.Itoa(a.LUN)
}

// Disk is a SCSI disk, known by its name and by where it is: names are used
// again.
type Disk struct {
	Name    string // sda; empty for a device that is not a disk yet
	Address Address
	WWID    string // as sysfs has it when the disk was found; empty if it tells none

	folder string // where it was found
}

// Node is the path of the disk's device node.
func (d Disk) Node() string {
	if d.Name == "" {
		return "SCSI device " + d.Address.String()
	}
	return "/dev/" + d.Name
}

// Sys is the folder of the SCSI device in sysfs. Unlike links to it, as in
// /sys/block and /sys/class, it is there as soon, and as long, as the device is.
func (d Disk) Sys() string {
	if d.folder == "" {
		return "/sys/class/scsi_device/" + d.Address.String() + "/device"
	}
	return d.folder
}

// Attr reads an attribute in sysfs, without the space around it; empty if that
// cannot be.
func Attr(h *connector.Host, path string) string {
	data, err := hostfile.Read(h.Path(path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// DisksIn lists the disks, and devices that become one, below a folder of sysfs that has targets in it:
// that of a session, or of a remote port.
func DisksIn(h *connector.Host, folder string) []Disk {
	var disks []Disk
	devices, _ := filepath.Glob(filepath.Join(h.Path(folder), "target*", "*:*:*:*"))
	for _, device := range devices {
		at, ok := ParseAddress(filepath.Base(device))
		if !ok {
			continue
		}
		name := ""
		if blocks, _ := os.ReadDir(filepath.Join(device, "block")); len(blocks) > 0 {
			name = blocks[0].Name()
		}
		d := found(h, name, at, strings.TrimPrefix(device, h.Root))
		if name == "" && !isDisk(Attr(h, d.Sys()+"/type")) {
			continue
		}
		disks = append(disks, d)
	}
	slices.SortFunc(disks, func(a, b Disk) int { return strings.Compare(a.Name, b.Name) })
	return disks
}

// isDisk tells whether a peripheral device type (SPC-6, 6.7.2) is one that has
// blocks, or will have: disks, optical memory, simplified and zoned disks.
func isDisk(kind string) bool {
	return kind == "" || slices.Contains([]string{"0", "7", "14", "20"}, kind)
}

func found(h *connector.Host, name string, at Address, folder string) Disk {
	d := Disk{Name: name, Address: at, folder: folder}
	d.WWID = Attr(h, d.Sys()+"/wwid")
	return d
}

// Find gives the disk of that name.
func Find(h *connector.Host, name string) (Disk, bool) {
	device, err := filepath.EvalSymlinks(h.Path("/sys/block/" + name + "/device"))
	if err != nil {
		return Disk{}, false
	}
	at, ok := ParseAddress(filepath.Base(device))
	if !ok {
		return Disk{}, false
	}
	return found(h, name, at, strings.TrimPrefix(device, h.Root)), true
}

// There tells whether the disk is still there, and has not been put in the place
// of another.
func (d Disk) There(h *connector.Host) bool {
	if _, err := os.Stat(h.Path(d.Sys())); err != nil {
		return false
	}
	blocks, _ := os.ReadDir(h.Path(d.Sys() + "/block"))
	return d.Name == "" || len(blocks) == 0 || blocks[0].Name() == d.Name
}

// Size is the size in bytes that the kernel has for a block device.
func Size(h *connector.Host, name string) int64 {
	sectors, err := strconv.ParseInt(Attr(h, "/sys/block/"+name+"/size"), 10, 64)
	if err != nil {
		return 0
	}
	return sectors * 512 // whatever the block size (Documentation/ABI/stable/sysfs-block)
}

// State is the state of the disk: running, offline, blocked...
func (d Disk) State(h *connector.Host) string { return Attr(h, d.Sys()+"/state") }

// Ready tells whether a block device has its folder in /sys/block and its node in
// /dev. On a host that is simulated in a folder, nodes are files.
func Ready(h *connector.Host, name string) bool {
	if _, err := os.Stat(h.Path("/sys/block/" + name)); err != nil || name == "" {
		return false
	}
	info, err := os.Stat(h.Path("/dev/" + name))
	if err != nil {
		return false
	}
	mode := info.Mode()
	return h.Root != "" || mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0
}
