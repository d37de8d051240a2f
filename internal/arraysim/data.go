// SPDX-License-Identifier: Apache-2.0

package arraysim

import (
	"context"

	"github.com/gocinder/cinderlib/internal/secret"
)

// Data is where an array's bytes are: its data plane. An array calls it while it
// carries out a request, one call at a time. What fails must have changed nothing;
// the array then refuses the request and stays as it was.
//
// Identifiers are the array's: opaque, unique among all volumes and snapshots that
// it ever had, and good as names of files ("volume-102").
type Data interface {
	// Create makes a volume that reads as zeros. If the array never learned that
	// an earlier Create succeeded, that volume is there and is replaced.
	Create(ctx context.Context, v Volume) error
	// Resize changes how many bytes a volume has. What is added reads as zeros.
	Resize(ctx context.Context, id string, bytes int64) error
	// Copy makes volumes with what others hold: snapshots and clones. All are of
	// the same moment, and independent of what they were made from when it
	// returns. A copy with more bytes than its source reads as zeros behind it.
	Copy(ctx context.Context, copies ...Copy) error
	// RollBack gives a volume the bytes and the size that another one has now.
	RollBack(ctx context.Context, id, from string) error
	// Delete removes volumes. Those that are not there are no error.
	Delete(ctx context.Context, ids ...string) error

	// Expose makes a target as it is described, or changes it to that. Sessions
	// of those who may still log in survive.
	Expose(ctx context.Context, t Target) error
	// Hide removes a target with its sessions. One that is not there is no error.
	Hide(ctx context.Context, iqn string) error
}

// Volume is what Data.Create makes.
type Volume struct {
	ID        string
	Bytes     int64
	BlockSize int // of the logical blocks, in bytes: 512, 4096
}

// Copy is one of Data.Copy.
type Copy struct {
	From string // a volume or snapshot
	To   Volume
}

// Target is one iSCSI target: all there is to know of it. An array that has a
// target for each volume exposes and hides them; one that has fixed targets
// exposes each of them anew when a mapping changes, with the same entries of
// Access for all targets that lead to the same LUNs.
type Target struct {
	IQN     string
	Portals []string // host:port
	Access  []Access
}

// Access lets initiators into a target.
type Access struct {
	// Initiator is the IQN of the one it is for. Empty: any that no other entry is
	// for, and CHAP then tells who may.
	Initiator string
	// CHAP is how they log in; nil: they need not.
	CHAP *CHAP
	// Optional lets them in without CHAP, too. If they offer it, it has to be
	// right.
	Optional bool
	// LUNs are what they see.
	LUNs []LUN
}

// CHAP is a login. TargetUser and TargetPassword are what the target says of
// itself to initiators that ask it; empty: it cannot.
type CHAP struct {
	User           string
	Password       secret.Text
	TargetUser     string
	TargetPassword secret.Text
}

// LUN is a volume as a target shows it.
type LUN struct {
	Number    int
	Volume    string // as Data.Create or Data.Copy named it
	Bytes     int64
	BlockSize int    // of the logical blocks, in bytes
	Serial    string // of page 0x80 of its vital product data
	NAA       string // of page 0x83, 16 or 32 hexadecimal digits, without "naa."
	EUI       string // of page 0x83; empty: none
	Vendor    string // of the standard inquiry data
	Product   string
	ReadOnly  bool
}

// NoData is a data plane that keeps nothing and succeeds.
type NoData struct{}

var _ Data = NoData{}

// Create implements Data.
func (NoData) Create(context.Context, Volume) error { return nil }

// Resize implements Data.
func (NoData) Resize(context.Context, string, int64) error { return nil }

// Copy implements Data.
func (NoData) Copy(context.Context, ...Copy) error { return nil }

// RollBack implements Data.
func (NoData) RollBack(context.Context, string, string) error { return nil }

// Delete implements Data.
func (NoData) Delete(context.Context, ...string) error { return nil }

// Expose implements Data.
func (NoData) Expose(context.Context, Target) error { return nil }

// Hide implements Data.
func (NoData) Hide(context.Context, string) error { return nil }
