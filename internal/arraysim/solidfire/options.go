// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"cmp"
	"net"
	"regexp"
	"time"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/fault"
)

// Options describe a cluster. The zero value is one of Element 10 that answers at
// once. What is called a switch is not known for certain of real clusters, or
// differs between their releases.
type Options struct {
	Name       string // empty: lab
	UUID       string // empty: some
	UniqueID   string // four of a-z and 0-9, in all IQNs; empty: abcd
	MVIP       string // management address; empty: 192.0.2.10
	SVIP       string // storage address, with a port or without; empty: 10.0.0.9
	APIVersion string // the newest that it serves; empty: 10.0

	Limits Limits

	// ErrorStatus is the HTTP status of answers with an error: 200 or 500. 0: 200.
	// A switch.
	ErrorStatus int
	// UnknownMethod is the error's name for a method that there is not; empty:
	// xUnknownAPIMethod. A switch.
	UnknownMethod string
	// FullError is the error's name when the cluster is full; empty:
	// xExceededLimit. A switch.
	FullError string
	// KeepCase leaves the volume's name in its IQN as it is. Otherwise it is in
	// lower case. A switch.
	KeepCase bool
	// SizeUnit is to what sizes are rounded up, in bytes: 1048576, or 4096 on older
	// releases, or 1000000. 0: 1048576. A switch.
	SizeUnit int64
	// LoginWithTarget has initiators log in with the account's targetSecret instead
	// of its initiatorSecret. A switch.
	LoginWithTarget bool
	// BareAnswers gives of what was made the identifier only, as older releases do:
	// CreateVolume and CloneVolume without volume and curve, AddAccount without
	// account, and so on. A switch.
	BareAnswers bool
	// RollbackKeepsSize leaves a volume its size when it is rolled back. Otherwise
	// it gets the snapshot's. A switch.
	RollbackKeepsSize bool

	// CloneTime is how long the job of a clone runs. 0: it is complete when
	// CloneVolume answers.
	CloneTime time.Duration
	// CloneHidden is how many lists that should have a new clone do not have it.
	CloneHidden int
	// CreatingReads is how many lists show a new volume or clone as creating.
	// Clones and snapshots of it are refused so long, which counts as a look.
	CreatingReads int
	// FirstCloneError is the error with which the first CloneVolume of every new
	// volume is refused: xSliceNotRegistered, xNotReadyForIO. Empty: it is not.
	FirstCloneError string

	// What the cluster is full at, in bytes. 0: 8402009333760, 55309227155456 and
	// 276546135777280, of a small real one.
	MaxUsedSpace              int64
	MaxProvisionedSpace       int64
	MaxOverProvisionableSpace int64

	Data arraysim.Data    // nil: arraysim.NoData
	Now  func() time.Time // nil: time.Now
}

// Limits of a cluster; 0 is that of a cluster of Element 9, as GetLimits has it.
// Small ones make tests short. A switch, each of them.
type Limits struct {
	Accounts             int // 5000
	AccountName          int // 64 characters
	SecretMin, SecretMax int // 12, 16 characters
	VolumeName           int // 64 characters
	Volumes              int // 4000, deleted ones that are not purged included
	VolumesPerAccount    int // 2000, the same
	Attributes           int // 1000 bytes of JSON

	VolumeSizeMin, VolumeSizeMax int64 // 1000000000, 8000000491520 bytes

	MinIOPSMin, MinIOPSMax     int64 // 50, 15000
	MaxIOPSMin, MaxIOPSMax     int64 // 100, 100000; 200000 on newer releases
	BurstIOPSMin, BurstIOPSMax int64 // 100, 100000; 200000 on newer releases

	SnapshotsPerVolume      int // 32
	SnapshotName            int // 64 characters
	VolumesPerGroupSnapshot int // 32
	CloneJobsPerVolume      int // 2 at the same time

	VolumeAccessGroups int // 1000
	GroupName          int // 64 characters
	VolumesPerGroup    int // 2000
	InitiatorsPerGroup int // 64
	GroupsPerVolume    int // 4
	GroupsPerInitiator int // 1
	InitiatorName      int // 224 characters
	ClusterPairs       int // 4
}

var uniqueIDs = regexp.MustCompile(`^[a-z0-9]{4}$`)

// defaults fills in what is not given.
func (o *Options) defaults() error {
	o.Name = cmp.Or(o.Name, "lab")
	o.UUID = cmp.Or(o.UUID, "53c8be1e-89e2-4f7f-a2e3-7cb84c47e0ec")
	o.UniqueID = cmp.Or(o.UniqueID, "abcd")
	o.MVIP = cmp.Or(o.MVIP, "192.0.2.10")
	o.SVIP = cmp.Or(o.SVIP, "10.0.0.9")
	o.APIVersion = cmp.Or(o.APIVersion, "10.0")
	o.ErrorStatus = cmp.Or(o.ErrorStatus, 200)
	o.UnknownMethod = cmp.Or(o.UnknownMethod, "xUnknownAPIMethod")
	o.FullError = cmp.Or(o.FullError, exceededLimit)
	o.SizeUnit = cmp.Or(o.SizeUnit, 1<<20)
	o.MaxUsedSpace = cmp.Or(o.MaxUsedSpace, 8402009333760)
	o.MaxProvisionedSpace = cmp.Or(o.MaxProvisionedSpace, 55309227155456)
	o.MaxOverProvisionableSpace = cmp.Or(o.MaxOverProvisionableSpace, 276546135777280)
	o.Limits.defaults()
	if o.Data == nil {
		o.Data = arraysim.NoData{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case !uniqueIDs.MatchString(o.UniqueID):
		return fault.Errorf(fault.ErrInvalid, "solidfire: UniqueID %q is not four of a-z and 0-9", o.UniqueID)
	case o.ErrorStatus != 200 && o.ErrorStatus != 500:
		return fault.Errorf(fault.ErrInvalid, "solidfire: ErrorStatus %d is neither 200 nor 500", o.ErrorStatus)
	case o.SizeUnit < 0 || o.CloneTime < 0 || o.CloneHidden < 0 || o.CreatingReads < 0:
		return fault.Errorf(fault.ErrInvalid, "solidfire: SizeUnit, CloneTime, CloneHidden and CreatingReads are not negative")
	}
	if _, ok := parseVersion(o.APIVersion); !ok {
		return fault.Errorf(fault.ErrInvalid, "solidfire: APIVersion %q is not a number with a dot", o.APIVersion)
	}
	return nil
}

func (l *Limits) defaults() {
	or(&l.Accounts, 5000)
	or(&l.AccountName, 64)
	or(&l.SecretMin, 12)
	or(&l.SecretMax, 16)
	or(&l.VolumeName, 64)
	or(&l.Volumes, 4000)
	or(&l.VolumesPerAccount, 2000)
	or(&l.Attributes, 1000)
	or(&l.VolumeSizeMin, 1_000_000_000)
	or(&l.VolumeSizeMax, 8_000_000_491_520)
	or(&l.MinIOPSMin, 50)
	or(&l.MinIOPSMax, 15_000)
	or(&l.MaxIOPSMin, 100)
	or(&l.MaxIOPSMax, 100_000)
	or(&l.BurstIOPSMin, 100)
	or(&l.BurstIOPSMax, 100_000)
	or(&l.SnapshotsPerVolume, 32)
	or(&l.SnapshotName, 64)
	or(&l.VolumesPerGroupSnapshot, 32)
	or(&l.CloneJobsPerVolume, 2)
	or(&l.VolumeAccessGroups, 1000)
	or(&l.GroupName, 64)
	or(&l.VolumesPerGroup, 2000)
	or(&l.InitiatorsPerGroup, 64)
	or(&l.GroupsPerVolume, 4)
	or(&l.GroupsPerInitiator, 1)
	or(&l.InitiatorName, 224)
	or(&l.ClusterPairs, 4)
}

func or[T comparable](value *T, otherwise T) { *value = cmp.Or(*value, otherwise) }

// portal is where iSCSI is served: 3260 is the port of a storage address without
// one.
func (o *Options) portal() string {
	if _, _, err := net.SplitHostPort(o.SVIP); err == nil {
		return o.SVIP
	}
	return net.JoinHostPort(o.SVIP, "3260")
}
