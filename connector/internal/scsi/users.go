// SPDX-License-Identifier: Apache-2.0

package scsi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/hostfile"
)

// Users says who uses block devices, or partitions of them, as far as that shows:
// what they are mounted on, which devices are made of them, which programs have
// them open. Not counted are devices made of one another, and the programs in
// lookers. An ordinary user has root look for programs.
func Users(ctx context.Context, h *connector.Host, names ...string) ([]string, error) {
	users := make(chan []string, 1)
	err := patient(ctx, "look for users of "+strings.Join(names, ", "), func(ctx context.Context) error {
		found, err := usersOf(ctx, h, names)
		users <- found
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-users, nil
}

func usersOf(ctx context.Context, h *connector.Host, names []string) ([]string, error) {
	u := use{host: h, names: names, held: map[string]bool{}, numbers: map[string]string{}}
	var users []string
	for _, name := range names {
		users = append(users, u.holders(name)...)
		u.add(name, "/sys/block/"+name)
		partitions, _ := filepath.Glob(h.Path("/sys/block/" + name + "/" + name + "*/dev"))
		for _, p := range partitions {
			part := filepath.Base(filepath.Dir(p))
			u.add(part, "/sys/block/"+name+"/"+part)
		}
	}
	users = append(users, u.mounts()...)
	users = append(users, u.swaps()...)
	programs := u.programs()
	if os.Geteuid() != 0 && h.Root == "" {
		var err error
		if programs, err = u.programsAsRoot(ctx); err != nil {
			return nil, err
		}
	}
	users = append(users, programs...)
	if len(users) > 0 {
		return users, nil
	}
	for _, name := range names {
		if !u.held[name] && u.taken(name) {
			users = append(users, "/dev/"+name+": somebody has it open")
		}
	}
	return users, nil
}

// lookers look into every disk that there is, and can do without: udev, the
// programs of its rules, and those of LVM, the driver's own among them. What they
// make of a disk is a holder of it. rbd-nbd serves the device that it has open.
var lookers = []string{
	"(udev-worker)", "systemd-udevd", "udevd", "multipathd", "multipath", "kpartx", "blkid", "scsi_id", "sg_inq", "mdadm", "rbd-nbd",
	"lvm", "pvscan", "vgscan", "pvs", "vgs", "lvs", "lvdisplay", "vgchange", "vgcreate",
	"lvcreate", "lvremove", "lvextend", "lvchange", "lvrename", "lvconvert", "dmeventd",
}

// use is one look for users.
type use struct {
	host    *connector.Host
	names   []string
	held    map[string]bool   // those that another one is made of
	numbers map[string]string // MAJOR:MINOR of the devices and their partitions, to their names
}

func (u *use) add(name, sys string) {
	if number := Attr(u.host, sys+"/dev"); number != "" {
		u.numbers[number] = name
	}
}

// holders names the devices made of one. Maps of partitions, which kpartx makes
// on its own, count for what is upon them.
func (u *use) holders(name string) []string {
	var users []string
	held, _ := filepath.Glob(u.host.Path("/sys/block/" + name + "/holders/*"))
	parts, _ := filepath.Glob(u.host.Path("/sys/block/" + name + "/" + name + "*/holders/*"))
	for _, holder := range append(held, parts...) {
		holder = filepath.Base(holder)
		if slices.Contains(u.names, holder) {
			u.held[name] = true
			continue
		}
		if strings.HasPrefix(Attr(u.host, "/sys/block/"+holder+"/dm/uuid"), "part") {
			u.add(holder, "/sys/block/"+holder)
			users = append(users, u.holders(holder)...)
			continue
		}
		if alias := Attr(u.host, "/sys/block/"+holder+"/dm/name"); alias != "" {
			holder += " (" + alias + ")"
		}
		users = append(users, "/dev/"+name+": used by "+holder)
	}
	return users
}

// mounts: proc_pid_mountinfo(5).
func (u *use) mounts() []string {
	var users []string
	table, _ := os.ReadFile(u.host.Path("/proc/self/mountinfo"))
	for line := range strings.Lines(string(table)) {
		if field := strings.Fields(line); len(field) > 4 && u.numbers[field[2]] != "" {
			users = append(users, "/dev/"+u.numbers[field[2]]+": mounted on "+field[4])
		}
	}
	return users
}

func (u *use) swaps() []string {
	var users []string
	table, _ := os.ReadFile(u.host.Path("/proc/swaps"))
	for line := range strings.Lines(string(table)) {
		field := strings.Fields(line)
		if len(field) == 0 || !strings.HasPrefix(field[0], "/dev/") {
			continue
		}
		if number, ok := number(u.host.Path(field[0])); ok && u.numbers[number] != "" {
			users = append(users, field[0]+": used for swap")
		}
	}
	return users
}

// programs looks through the open files of all processes that it may.
func (u *use) programs() []string {
	var users []string
	for _, p := range Processes(u.host) {
		table := u.host.Path("/proc/" + p.ID + "/fd")
		files, _ := os.ReadDir(table)
		for _, f := range files {
			link := filepath.Join(table, f.Name())
			// Only what may be a device: stat of other files may hang with their server.
			to, err := os.Readlink(link)
			if err != nil || !strings.Contains(to, "/dev/") && !strings.HasPrefix(to, "/block/") {
				continue
			}
			if number, ok := number(link); !ok || u.numbers[number] == "" {
				continue
			} else if user := u.program(p.ID, u.numbers[number]); user != "" {
				users = append(users, user)
			}
			break
		}
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// programsAsRoot looks through the open files of other users, too.
func (u *use) programsAsRoot(ctx context.Context) ([]string, error) {
	if len(u.numbers) == 0 { // it is gone
		return nil, nil
	}
	args := []string{"find", "/proc", "-mindepth", "3", "-maxdepth", "3", "-path", "/proc/[0-9]*/fd/*", "("}
	for _, name := range u.numbers {
		args = append(args, "-lname", "/dev/"+name, "-o")
	}
	args[len(args)-1] = ")"
	args = append(args, "-printf", `%h %l\n`) // /proc/PID/fd, and what it points to
	// 1: a process has ended meanwhile.
	r, err := u.host.Run.Run(ctx, connector.Command{Args: args, Root: true, OK: []int{1}})
	if err != nil {
		return nil, err
	}
	var users []string
	for line := range strings.Lines(string(r.Stdout)) {
		table, device, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid := filepath.Base(filepath.Dir(table))
		if user := u.program(pid, strings.TrimPrefix(device, "/dev/")); user != "" {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

// program names one that has a device open; those that count for nothing are "".
func (u *use) program(pid, device string) string {
	name := Attr(u.host, "/proc/"+pid+"/comm")
	if slices.Contains(lookers, name) {
		return ""
	}
	return fmt.Sprintf("/dev/%s: open in %s (process %s)", device, name, pid)
}

// taken tells whether somebody has the device for itself, as a mount in another
// name space does.
func (u *use) taken(name string) bool {
	f, err := os.OpenFile(u.host.Path("/dev/"+name), os.O_RDONLY|syscall.O_EXCL|syscall.O_NONBLOCK, 0)
	if err == nil {
		_ = f.Close() // nothing was done with it
	}
	return errors.Is(err, syscall.EBUSY)
}

// number is MAJOR:MINOR of a device node.
func number(path string) (string, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return "", false
	}
	major, minor, ok := hostfile.BlockDevice(info)
	return fmt.Sprintf("%d:%d", major, minor), ok
}
