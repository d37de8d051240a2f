// SPDX-License-Identifier: Apache-2.0

package xtremio

import (
	"fmt"
	"net/http"
	"strings"
)

// Error is what the XMS refuses a request with.
type Error struct {
	Status  int // 400 for nearly all, for what is not there, too
	Message string
}

func (e *Error) Error() string { return e.Message }

// Busy is the message of an array that has no time: what clients repeat a request
// for. It comes as a fault only:
//
//	arraysim.Fault{Operation: "POST volumes", Kind: arraysim.Refuse, Name: xtremio.Busy, Times: 3}
const Busy = "system_is_busy"

// Messages of which clients, or the array's descriptions, tell.
const (
	alreadyMapped      = "already_mapped"
	tooManyObjects     = "too_many_objs"
	tooManySnapshots   = "too_many_snapshots_per_vol"
	noCluster          = "sys_not_found"
	methodNotAllowed   = "Method not allowed"
	noObject           = "_obj_not_found"
	nameNotUnique      = "_obj_name_not_unique"
	nameTooLong        = "_obj_name_too_long" // the simulator's for most types
	invalidProperty    = "Command Syntax Error: Invalid property %s"
	missingProperties  = "Command Syntax Error: Missing some of mandatory properties list: %s"
	wrongValue         = "Command Syntax Error: %s property must have one of the following values: %s"
	atLeastOneProperty = "Command Syntax Error: At least one property from the following list is mandatory: %s"
)

// Messages that are the simulator's own.
const (
	addressNotUnique = "port_address_not_unique"
	addressInvalid   = "port_address_invalid"
	lunInUse         = "lun_already_in_use"
	lunOutOfRange    = "lun_out_of_range"
	volumeMapped     = "vol_mapped"
	groupMapped      = "ig_mapped"
	cannotShrink     = "vol_size_cannot_be_decreased"
	sizeInvalid      = "vol_size_invalid"
	sizeTooLarge     = "vol_size_too_large"
	suffixTooLong    = "snap_suffix_too_long"
	secretLength     = "chap_password_length_invalid"
	groupEmpty       = "cg_has_no_vols"
	groupFull        = "too_many_vols_in_cg"
	alreadyInGroup   = "vol_already_in_cg"
	notInGroup       = "vol_not_in_cg"
	notRelated       = "vols_not_in_same_snapshot_tree"
	noTag            = "tag_obj_not_found"
	invalidValue     = "Command Syntax Error: Invalid value of property %s"
	invalidFilter    = "Command Syntax Error: Invalid filter %s"
	invalidJSON      = "Command Syntax Error: The body is no JSON object"
	exclusive        = "Command Syntax Error: Only one property from the following list is allowed: %s"
	unknownPath      = "Not found"
)

func refuse(format string, args ...any) *Error {
	return &Error{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// about is an error of a type, whose short name is part of it.
func about(short, what string) *Error { return refuse("%s", short+what) }

func missing(names ...string) *Error { return refuse(missingProperties, quoted(names)) }

// quoted writes a list as the array's messages do.
func quoted(names []string) string {
	var b strings.Builder
	b.WriteByte('[')
	for n, name := range names {
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString("'" + name + "'")
	}
	return b.String() + "]"
}
