// SPDX-License-Identifier: Apache-2.0

package solidfire

import "fmt"

// Error is what the cluster refuses a request with. Its code is always 500.
type Error struct {
	Name    string // xVolumeIDDoesNotExist
	Message string
}

func (e *Error) Error() string { return e.Name + ": " + e.Message }

// Names of errors that are given in several places.
const (
	accountIDDoesNotExist  = "xAccountIDDoesNotExist"
	volumeIDDoesNotExist   = "xVolumeIDDoesNotExist"
	snapshotIDDoesNotExist = "xSnapshotIDDoesNotExist"
	groupIDDoesNotExist    = "xVolumeAccessGroupIDDoesNotExist"
	exceededLimit          = "xExceededLimit"
	invalidParameter       = "xInvalidParameter"
	invalidParameterType   = "xInvalidParameterType"
	missingParameter       = "xMissingParameter"
	unrecognizedEnum       = "xUnrecognizedEnumString"
	dbNoSuchPath           = "xDBNoSuchPath"
	maxSnapshots           = "xMaxSnapshotsPerVolumeExceeded"
	unknownVersion         = "xUnknownAPIVersion"
	internalError          = "xInternalError"
)

func refuse(name, format string, args ...any) *Error {
	return &Error{name, fmt.Sprintf(format, args...)}
}

func noAccount(id int64) *Error {
	return refuse(accountIDDoesNotExist, "AccountID %d does not exist.", id)
}
func noVolume(id int64) *Error {
	return refuse(volumeIDDoesNotExist, "VolumeID %d does not exist.", id)
}
func noSnapshot(id int64) *Error {
	return refuse(snapshotIDDoesNotExist, "SnapshotID %d does not exist.", id)
}
func noGroup(id int64) *Error {
	return refuse(groupIDDoesNotExist, "VolumeAccessGroupID %d does not exist.", id)
}
