// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/rest"
)

// Error is what the cluster refuses a method with.
type Error struct {
	Method  string
	Name    string // xVolumeIDDoesNotExist
	Message string
}

func (e *Error) Error() string { return e.Name + ": " + e.Message }

// passing are errors of a cluster that is busy, or being changed: nothing was done,
// and it may be asked again. Those of NetApp's documentation, and of upgrades as
// Cinder has met them.
var passing = []string{
	"xDBVersionMismatch", "xMaxSnapshotsPerVolumeExceeded", "xMaxClonesPerVolumeExceeded",
	"xMaxSnapshotsPerNodeExceeded", "xMaxClonesPerNodeExceeded", "xSliceNotRegistered", "xNotReadyForIO", "xNotPrimary",
	"xDBOperationTimeout", "xDBConnectionLoss", "xNoHandler", "xSnapshotFailed", "xRecvTimeout", "xDBNoSuchPath", "xPermissionDenied",
}

var sentinels = map[string]error{
	"xUnknownAccount": drivers.ErrNotFound, "xAccountIDDoesNotExist": drivers.ErrNotFound,
	"xVolumeIDDoesNotExist": drivers.ErrNotFound, "xSnapshotIDDoesNotExist": drivers.ErrNotFound,
	"xVolumeAccessGroupIDDoesNotExist": drivers.ErrNotFound,
	"xDuplicateUsername":               drivers.ErrExists,
	"xExceededLimit":                   drivers.ErrExhausted,
	"xMaxSnapshotsPerVolumeExceeded":   drivers.ErrExhausted, "xMaxClonesPerVolumeExceeded": drivers.ErrExhausted,
	"xMaxSnapshotsPerNodeExceeded": drivers.ErrExhausted, "xMaxClonesPerNodeExceeded": drivers.ErrExhausted,
	"xInvalidParameter": drivers.ErrInvalid, "xInvalidParameterType": drivers.ErrInvalid, "xMissingParameter": drivers.ErrInvalid,
	"xUnrecognizedEnumString": drivers.ErrInvalid, "xVolumeShrinkProhibited": drivers.ErrInvalid,
	"xPermissionDenied": drivers.ErrPermission,
}

func explain(e *Error) error {
	of, known := sentinels[e.Name]
	again := slices.Contains(passing, e.Name)
	switch {
	case !known && again:
		of = drivers.ErrUnavailable
	case !known:
		of = drivers.ErrInternal
	}
	err := drivers.Errorf(of, "%w", e)
	if again {
		return rest.Busy(err)
	}
	return err
}

// is tells whether the cluster has refused with one of some names.
func is(err error, names ...string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && slices.Contains(names, e.Name)
}

// method is one of the cluster's, with the version of the API that has it.
type method struct {
	name, version string
	again         bool // it may be carried out twice
}

var (
	getClusterInfo        = method{"GetClusterInfo", "1.0", true}
	getClusterVersionInfo = method{"GetClusterVersionInfo", "1.0", true}
	getClusterCapacity    = method{"GetClusterCapacity", "8.0", true}
	getAccountByName      = method{"GetAccountByName", "1.0", true}
	getAccountByID        = method{"GetAccountByID", "1.0", true}
	addAccount            = method{"AddAccount", "1.0", false}
	listVolumes           = method{"ListVolumes", "8.0", true}
	listVolumesForAccount = method{"ListVolumesForAccount", "1.0", true}
	createVolume          = method{"CreateVolume", "1.0", false}
	modifyVolume          = method{"ModifyVolume", "5.0", true}
	deleteVolume          = method{"DeleteVolume", "1.0", true}
	purgeDeletedVolume    = method{"PurgeDeletedVolume", "1.0", true}
	cloneVolume           = method{"CloneVolume", "6.0", false}
	listSnapshots         = method{"ListSnapshots", "6.0", true}
	createSnapshot        = method{"CreateSnapshot", "6.0", false}
	deleteSnapshot        = method{"DeleteSnapshot", "6.0", true}
	rollbackToSnapshot    = method{"RollbackToSnapshot", "6.0", true}
	listAccessGroups      = method{"ListVolumeAccessGroups", "7.0", true}
	createAccessGroup     = method{"CreateVolumeAccessGroup", "7.0", false}
	deleteAccessGroup     = method{"DeleteVolumeAccessGroup", "7.0", true}
	addInitiators         = method{"AddInitiatorsToVolumeAccessGroup", "7.0", true}
	addVolumes            = method{"AddVolumesToVolumeAccessGroup", "7.0", true}
	removeVolumes         = method{"RemoveVolumesFromVolumeAccessGroup", "7.0", true}
)

type params map[string]any

// grace is how long the answer is waited for when the context has ended, if something
// is being made.
const grace = 700 * time.Millisecond

// call calls a method. into is what its result is decoded into; nil: nothing.
func (d *Driver) call(ctx context.Context, m method, p params, into any) error {
	var answer struct {
		Result json.RawMessage `json:"result"`
	}
	var wait time.Duration
	if !m.again {
		wait = grace
	}
	_, err := d.client.Do(ctx, rest.Request{
		Operation: m.name, Method: http.MethodPost, Path: "json-rpc/" + m.version + "/", Again: m.again, Grace: wait,
		Body: map[string]any{"method": m.name, "params": p},
		Check: func(a *rest.Answer) error {
			var refused struct {
				Error *Error `json:"error"`
			}
			// A refusal has the status 200 or 500, as the release likes.
			switch err := a.Decode(&refused); {
			case err != nil && a.Status == http.StatusOK:
				return rest.Uncertain(err)
			case err != nil:
				return rest.Status(a)
			case refused.Error != nil:
				refused.Error.Method = m.name
				return explain(refused.Error)
			case a.Status != http.StatusOK:
				return rest.Status(a)
			}
			return a.Decode(&answer)
		},
	})
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(answer.Result, into); err != nil {
		return drivers.Errorf(drivers.ErrInternal, "%s: the answer is not what was expected: %w", m.name, err)
	}
	return nil
}
