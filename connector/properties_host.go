// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// PropertiesOptions are what Properties cannot find out. They are reported as
// they are; what of them the host can do shows when it attaches.
type PropertiesOptions struct {
	Multipath        bool // use all paths to a volume
	EnforceMultipath bool // fail without multipathd
}

// Properties describes the host to an array, as os-brick's
// get_connector_properties does. It reads files and runs nothing, but for the
// iSCSI name where only root may read it. What the host does not have, or does
// not let us read, is left out; the error is that of ctx.
func (h *Host) Properties(ctx context.Context, o PropertiesOptions) (*Properties, error) {
	p := &Properties{
		OSType:           "linux",
		IP:               h.IP,
		Host:             h.Name,
		Multipath:        o.Multipath,
		EnforceMultipath: o.EnforceMultipath,
		Platform:         machine(),
		Initiator:        h.initiator(ctx),
		NQN:              h.line("/etc/nvme/hostnqn"),
		UUID:             h.rootUUID(),
		SystemUUID:       h.line("/sys/class/dmi/id/product_uuid"),
	}
	if p.Host == "" {
		p.Host, _ = os.Hostname()
	}
	if !o.Multipath {
		// Readers take a missing key as "as the array offers".
		p.Extra = map[string]any{"multipath": false}
	}
	p.WWPNs, p.WWNNs = h.fcPorts()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// machine is the hardware name of uname: x86_64.
func machine() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return ""
	}
	return charText(u.Machine[:])
}

// charText reads a C string, whose characters have a sign on some machines.
func charText[T int8 | uint8](chars []T) string {
	var text strings.Builder
	for _, c := range chars {
		if c == 0 {
			break
		}
		text.WriteByte(byte(c))
	}
	return text.String()
}

// line is the text of a file of one line; empty if it cannot be read.
func (h *Host) line(path string) string {
	data, err := os.ReadFile(h.Path(path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

const initiatorFile = "/etc/iscsi/initiatorname.iscsi"

// initiator is the iSCSI name. The file is often root's alone.
func (h *Host) initiator(ctx context.Context) string {
	path := h.Path(initiatorFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrPermission) {
		var r Result
		r, err = h.Run.Run(ctx, Command{Args: []string{"cat", path}, Root: true})
		data = r.Stdout
	}
	if err != nil {
		h.Log.DebugContext(ctx, "no iSCSI initiator name", slog.Any("error", err))
		return ""
	}
	return initiatorName(string(data))
}

// initiatorName finds the first InitiatorName= of initiatorname.iscsi(5).
// Spaces around the sign and remarks behind the name are seen in the wild.
func initiatorName(text string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(key) != "InitiatorName" {
			continue
		}
		value, _, _ = strings.Cut(value, "#")
		if words := strings.Fields(value); len(words) > 0 {
			return words[0]
		}
	}
	return ""
}

// fcPorts lists the port and node names of the Fibre Channel ports that are
// online, without the 0x they have in sysfs.
func (h *Host) fcPorts() (wwpns, wwnns []string) {
	const class = "/sys/class/fc_host"
	hosts, _ := os.ReadDir(h.Path(class)) // none: no such hardware
	for _, host := range hosts {
		attr := func(name string) string { return h.line(filepath.Join(class, host.Name(), name)) }
		if attr("port_state") != "Online" {
			continue
		}
		if name := strings.TrimPrefix(attr("port_name"), "0x"); name != "" {
			wwpns = append(wwpns, name)
		}
		if name := strings.TrimPrefix(attr("node_name"), "0x"); name != "" {
			wwnns = append(wwnns, name)
		}
	}
	return wwpns, wwnns
}

// rootUUID is the UUID of the root file system: the name of the link to its
// device. A file system without a device, such as a container's overlay, has
// none.
func (h *Host) rootUUID() string {
	const links = "/dev/disk/by-uuid"
	devices := h.rootDevices()
	if len(devices) == 0 {
		return ""
	}
	entries, _ := os.ReadDir(h.Path(links))
	for _, e := range entries {
		target, err := os.Readlink(h.Path(filepath.Join(links, e.Name())))
		if err == nil && devices[filepath.Base(target)] {
			return e.Name()
		}
	}
	return ""
}

// rootDevices gives the kernel's names of the device that / is mounted from.
func (h *Host) rootDevices() map[string]bool {
	number, source := rootMount(h.line("/proc/self/mountinfo"))
	devices := map[string]bool{}
	// The number is right where the name is a stand-in (/dev/root), the name
	// where the number is not a device's (btrfs).
	if target, err := os.Readlink(h.Path("/sys/dev/block/" + number)); err == nil && number != "" {
		devices[filepath.Base(target)] = true
	}
	if strings.HasPrefix(source, "/dev/") {
		if target, err := os.Readlink(h.Path(source)); err == nil { // /dev/mapper/NAME
			source = target
		}
		devices[filepath.Base(source)] = true
	}
	return devices
}

// rootMount finds the device number and source of what is mounted last on /
// (proc_pid_mountinfo(5)).
func rootMount(mountinfo string) (number, source string) {
	for line := range strings.Lines(mountinfo) {
		mount, fs, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(mount), strings.Fields(fs)
		if ok && len(left) > 4 && len(right) > 1 && left[4] == "/" {
			number, source = left[2], right[1]
		}
	}
	return number, source
}
