// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/lio"
)

const (
	volumePrefix = "volume-"
	// LVM keeps names that begin with snapshot for itself; Cinder puts a _ before.
	snapshotPrefix = "_snapshot-"
	// clonePrefix is of the snapshot that a thick volume is copied from, by the id
	// of the new volume, as Cinder names it.
	clonePrefix = "clone-snap-"
	// revertPrefix is of what takes the place of a thin volume that is reverted.
	revertPrefix = "revert-"
)

// The longest name that the device mapper takes (DM_NAME_LEN of
// linux/dm-ioctl.h, with its zero), less the "-real" that LVM adds.
const longestDevice = 127 - len("-real")

var (
	nameForm = regexp.MustCompile(`^[a-zA-Z0-9+_.][a-zA-Z0-9+_.-]*$`)
	// What LVM keeps for parts of its own volumes, lvm(8).
	reserved = regexp.MustCompile(`_(cdata|cmeta|corig|cpool|cvol|iorig|mimage|mlog|pmspare|rimage|rmeta|tdata|tmeta|vdata|vorigin|wcorig)`)
)

func checkGroup(group string) error {
	if !nameForm.MatchString(group) || group == "." || group == ".." || len(group) > longestDevice {
		return drivers.Errorf(drivers.ErrInvalid, "volume_group: %q cannot be the name of a volume group", group)
	}
	return nil
}

func (d *Driver) checkName(name string) error {
	if !nameForm.MatchString(name) || reserved.MatchString(name) {
		return drivers.Errorf(drivers.ErrInvalid, "LVM does not take %q as a name", name)
	}
	if len(deviceName(d.group, name)) > longestDevice {
		return drivers.Errorf(drivers.ErrInvalid, "%q is too long for a volume of the group %s", name, d.group)
	}
	return nil
}

// volumeName names the volume's LV. One whose target could not be named is
// refused with it.
func (d *Driver) volumeName(v *drivers.Volume) (string, error) {
	name := v.NameOnArray()
	if err := d.checkName(name); err != nil {
		return name, err
	}
	return name, d.checkName(clonePrefix + v.NameID())
}

func (d *Driver) snapshotName(s *drivers.Snapshot) (string, error) {
	name := "_" + s.NameOnArray()
	return name, d.checkName(name)
}

// deviceName is the name that the device mapper has for an LV.
func deviceName(group, name string) string {
	double := func(s string) string { return strings.ReplaceAll(s, "-", "--") }
	return double(group) + "-" + double(name)
}

// device is the path of an LV, which is there while it is active.
func (d *Driver) device(name string) string { return "/dev/mapper/" + deviceName(d.group, name) }

// iqn names the target of a volume that has none yet.
func (d *Driver) iqn(v *drivers.Volume) (string, error) {
	name := v.NameOnArray()
	if _, err := uuid.Parse(v.NameID()); err == nil {
		name = strings.ToLower(name)
	}
	iqn := d.prefix + name
	return iqn, lio.CheckIQN(iqn)
}

// serial is the unit serial of a volume's disk. The kernel makes the WWN of its
// hexadecimal digits, so what is no UUID is made one.
func serial(v *drivers.Volume) string {
	id, err := uuid.Parse(v.ID)
	if err != nil {
		id = uuid.NewSHA1(uuid.NameSpaceOID, []byte("cinderlib:"+v.ID))
	}
	return id.String()
}
