// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/hostfile"
	"github.com/gocinder/cinderlib/internal/poll"
)

// BenchmarkBesidePrograms does the work of a volume's life twice in turn: with
// the library, and with nothing but the programs and writes that it takes, as
// somebody would who knows that all goes well and that nobody else is there. It
// tells the shortest time of each operation: longer ones are the machine's.
func BenchmarkBesidePrograms(b *testing.B) {
	for _, paths := range []int{1, 2} {
		b.Run(fmt.Sprintf("%d-paths", paths), func(b *testing.B) {
			w := newWorld(b, paths > 1)
			portals := []string{firstPortal, secondPortal}[:paths]
			bare, ours := map[string]time.Duration{}, map[string]time.Duration{}
			for b.Loop() {
				life(b, bare, byHand(b, portals))
				life(b, ours, byLibrary(b, w, paths > 1))
			}
			tell := func(what string, ours, bare time.Duration) {
				b.Logf("%d path(s), %-10s %5d ms, its programs and writes alone %5d ms: %+.0f %%",
					paths, what, ours.Milliseconds(), bare.Milliseconds(), 100*float64(ours)/float64(bare)-100)
			}
			var allOurs, allBare time.Duration
			for _, op := range lifeOps {
				tell(op, ours[op], bare[op])
				allOurs += ours[op]
				allBare += bare[op]
			}
			tell("all", allOurs, allBare)
		})
	}
}

var lifeOps = []string{"create", "snapshot", "snapdelete", "connect", "attach", "detach", "disconnect", "delete"}

func life(b *testing.B, took map[string]time.Duration, do map[string]func() error) {
	for _, op := range lifeOps {
		start := time.Now()
		require.NoError(b, do[op](), op)
		if d := time.Since(start); took[op] == 0 || d < took[op] {
			took[op] = d
		}
		settle(b)
	}
}

// settle lets udev end what it does about the last operation, which would
// disturb the next.
func settle(b *testing.B) { sh(b, "udevadm settle") }

func byLibrary(b *testing.B, w *world, multipath bool) map[string]func() error {
	ctx := b.Context()
	var v *cinderlib.Volume
	var s *cinderlib.Snapshot
	var c *cinderlib.Connection
	return map[string]func() error{
		"create":     func() (err error) { v, err = w.b.CreateVolume(ctx, 1); return err },
		"snapshot":   func() (err error) { s, err = v.CreateSnapshot(ctx); return err },
		"snapdelete": func() error { return s.Delete(ctx) },
		"connect": func() error {
			host, err := w.lib.HostProperties(ctx, connector.PropertiesOptions{Multipath: multipath})
			if err == nil {
				c, err = v.Connect(ctx, host)
			}
			return err
		},
		"attach":     func() error { return c.Attach(ctx) },
		"detach":     func() error { return c.Detach(ctx) },
		"disconnect": func() error { return c.Disconnect(ctx) },
		"delete":     func() error { return v.Delete(ctx) },
	}
}

const (
	bareLV   = "bare"
	bareLUN  = "0"
	bareIQN  = "iqn.2010-10.org.openstack:bare"
	bareUser = "bare"
	bareWord = "a-bare-password"
	bareCore = "/sys/kernel/config/target/core/iblock_999"
	bareWWN  = bareCore + "/" + bareLV
	bareTPG  = "/sys/kernel/config/target/iscsi/" + bareIQN + "/tpgt_1"
)

func byHand(b *testing.B, portals []string) map[string]func() error {
	ctx := b.Context()
	initiator := strings.TrimPrefix(sh(b, "grep ^InitiatorName= /etc/iscsi/initiatorname.iscsi"), "InitiatorName=")
	acl := bareTPG + "/acls/" + initiator
	lv := group + "/" + bareLV
	disk := ""         // what is to be used
	var disks []string // what it is made of
	node := func(portal string, more ...string) []string {
		return append([]string{"iscsiadm", "-m", "node", "-T", bareIQN, "-p", portal + ":3260"}, more...)
	}
	return map[string]func() error{
		"create": func() error {
			return program(ctx, "lvcreate", "-q", "-T", "-V", "1g", "-n", bareLV, group+"/"+group+"-pool")
		},
		"snapshot":   func() error { return program(ctx, "lvcreate", "-q", "-s", "-k", "y", "-n", "bare-snap", lv) },
		"snapdelete": func() error { return bareRemove(ctx, group+"/bare-snap") },
		"connect": func() error {
			steps := []string{
				"mkdir " + bareCore, "mkdir " + bareWWN,
				bareWWN + "/control=udev_path=/dev/" + lv, bareWWN + "/udev_path=/dev/" + lv,
				bareWWN + "/wwn/vpd_unit_serial=" + bareLV, bareWWN + "/enable=1",
				"mkdir " + filepath.Dir(bareTPG), "mkdir " + bareTPG,
			}
			for _, p := range portals {
				steps = append(steps, "mkdir "+bareTPG+"/np/"+p+":3260")
			}
			steps = append(steps,
				"mkdir "+bareTPG+"/lun/lun_"+bareLUN, "link "+bareTPG+"/lun/lun_"+bareLUN+"/bare "+bareWWN,
				"mkdir "+acl, "mkdir "+acl+"/lun_"+bareLUN,
				"link "+acl+"/lun_"+bareLUN+"/bare "+bareTPG+"/lun/lun_"+bareLUN,
				acl+"/auth/userid="+bareUser, acl+"/auth/password="+bareWord,
				bareTPG+"/attrib/authentication=1", bareTPG+"/enable=1")
			return bareSteps(ctx, steps...)
		},
		"attach": func() error {
			disks = nil
			for _, p := range portals {
				err := errors.Join(
					program(ctx, node(p, "--op", "new")...),
					program(ctx, node(p, "--op", "update", "-n", "node.session.scan", "-v", "manual",
						"-n", "node.session.auth.authmethod", "-v", "CHAP", "-n", "node.session.auth.username", "-v", bareUser,
						"-n", "node.session.auth.password", "-v", bareWord)...),
					program(ctx, node(p, "--login")...),
				)
				if err != nil {
					return err
				}
			}
			sessions, err := filepath.Glob("/sys/class/iscsi_host/host*")
			if err != nil {
				return err
			}
			for _, s := range sessions {
				scan := "/sys/class/scsi_host/" + filepath.Base(s) + "/scan"
				if err := bareSteps(ctx, scan+"=0 0 "+bareLUN); err != nil {
					return err
				}
				found, err := await(ctx, s+"/device/session*/target*/*/block/sd*")
				if err != nil {
					return err
				}
				disks = append(disks, filepath.Base(found))
			}
			pattern := "/dev/" + disks[0]
			if len(disks) > 1 {
				pattern = "/sys/block/" + disks[0] + "/holders/dm-*"
			}
			found, err := await(ctx, pattern)
			if err != nil {
				return err
			}
			disk, err = await(ctx, "/dev/"+filepath.Base(found))
			return err
		},
		"detach": func() error {
			f, err := os.Open(disk)
			if err != nil {
				return err
			}
			if err := errors.Join(f.Sync(), hostfile.DropBuffers(f), f.Close()); err != nil {
				return err
			}
			if len(disks) > 1 {
				if err := program(ctx, "multipath", "-f", strings.TrimSpace(sh(b, "cat /sys/block/"+filepath.Base(disk)+"/dm/name"))); err != nil {
					return err
				}
			}
			for _, d := range disks {
				if err := bareSteps(ctx, "/sys/block/"+d+"/device/delete=1"); err != nil {
					return err
				}
			}
			for _, p := range portals {
				if err := errors.Join(program(ctx, node(p, "--logout")...), program(ctx, node(p, "--op", "delete")...)); err != nil {
					return err
				}
			}
			return nil
		},
		"disconnect": func() error {
			steps := []string{
				bareTPG + "/enable=0", "unlink " + acl + "/lun_" + bareLUN + "/bare", "rmdir " + acl + "/lun_" + bareLUN, "rmdir " + acl,
				"unlink " + bareTPG + "/lun/lun_" + bareLUN + "/bare", "rmdir " + bareTPG + "/lun/lun_" + bareLUN,
			}
			for _, p := range portals {
				steps = append(steps, "rmdir "+bareTPG+"/np/"+p+":3260")
			}
			return bareSteps(ctx, append(steps, "rmdir "+bareTPG, "rmdir "+filepath.Dir(bareTPG), "rmdir "+bareWWN, "rmdir "+bareCore)...)
		},
		"delete": func() error { return bareRemove(ctx, lv) },
	}
}

// bareRemove looks before it deletes, as anybody does who has an array to lose.
func bareRemove(ctx context.Context, lv string) error {
	return errors.Join(program(ctx, "lvs", "-q", "-a", "--noheadings", "-o", "lv_name,origin,lv_attr", group), program(ctx, "lvremove", "-q", "-f", lv))
}

// await waits for a file of a name like pattern.
func await(ctx context.Context, pattern string) (string, error) {
	var found []string
	_, err := poll.Until(ctx, time.Minute, func() (done bool, err error) {
		found, err = filepath.Glob(pattern)
		return len(found) > 0, err
	})
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%s: nothing there: %w", pattern, err)
	}
	return found[0], nil
}

func program(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}

// bareSteps does "mkdir PATH", "rmdir PATH", "link PATH TARGET", "unlink PATH",
// and "PATH=VALUE", which is a write.
func bareSteps(ctx context.Context, steps ...string) error {
	var files hostfile.Direct
	for _, s := range steps {
		var err error
		verb, path, _ := strings.Cut(s, " ")
		switch verb {
		case "mkdir":
			err = files.Mkdir(ctx, path)
		case "rmdir":
			err = files.Rmdir(ctx, path)
		case "unlink":
			err = files.Unlink(ctx, path)
		case "link":
			path, target, _ := strings.Cut(path, " ")
			err = files.Symlink(ctx, target, path)
		default:
			path, value, _ := strings.Cut(s, "=")
			err = files.Write(ctx, path, []byte(value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
