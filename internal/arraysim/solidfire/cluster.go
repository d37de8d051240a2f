// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/fault"
)

// Cluster is a simulated cluster. It is safe for use by many goroutines.
type Cluster struct {
	options Options
	version version

	mu    sync.Mutex // of state; held while a method runs
	state *state
}

var _ arraysim.Array = (*Cluster)(nil)

// New makes a cluster without accounts and volumes. It fails with ErrInvalid for
// options that cannot be.
func New(o Options) (*Cluster, error) {
	if err := o.defaults(); err != nil {
		return nil, err
	}
	v, _ := parseVersion(o.APIVersion)
	return &Cluster{options: o, version: v, state: newState()}, nil
}

// call is one method while it runs.
type call struct {
	*params
	ctx     context.Context // does not end with the request
	options *Options
	now     time.Time
	special *arraysim.Fault
	state   *state // the method's own one, if it changes anything

	touched map[int64]bool // volumes that may be visible in another way now
	undo    []func() error // of the data plane, for when a later step fails
}

// method is one of the interface. What run gives becomes the member result.
type method struct {
	changes bool
	run     func(c *call) (any, *Error)
}

var methods = map[string]method{
	"GetAPI":                {false, getAPI},
	"GetAsyncResult":        {true, getAsyncResult},
	"GetClusterCapacity":    {false, getClusterCapacity},
	"GetClusterInfo":        {false, getClusterInfo},
	"GetClusterVersionInfo": {false, getClusterVersionInfo},
	"GetLimits":             {false, getLimits},
	"GetVolumeStats":        {false, getVolumeStats},
	"ListClusterPairs":      {false, listClusterPairs},

	"AddAccount":       {true, addAccount},
	"GetAccountByID":   {false, getAccountByID},
	"GetAccountByName": {false, getAccountByName},
	"ListAccounts":     {false, listAccounts},
	"ModifyAccount":    {true, modifyAccount},
	"RemoveAccount":    {true, removeAccount},

	"CloneVolume":           {true, cloneVolume},
	"CreateVolume":          {true, createVolume},
	"DeleteVolume":          {true, deleteVolume},
	"ListActiveVolumes":     {false, listActiveVolumes},
	"ListDeletedVolumes":    {false, listDeletedVolumes},
	"ListVolumes":           {false, listVolumes},
	"ListVolumesForAccount": {false, listVolumesForAccount},
	"ModifyVolume":          {true, modifyVolume},
	"PurgeDeletedVolume":    {true, purgeDeletedVolume},
	"RemoveVolumePair":      {false, removeVolumePair},

	"CreateGroupSnapshot": {true, createGroupSnapshot},
	"CreateSnapshot":      {true, createSnapshot},
	"DeleteGroupSnapshot": {true, deleteGroupSnapshot},
	"DeleteSnapshot":      {true, deleteSnapshot},
	"ListGroupSnapshots":  {false, listGroupSnapshots},
	"ListSnapshots":       {false, listSnapshots},
	"RollbackToSnapshot":  {true, rollbackToSnapshot},

	"AddInitiatorsToVolumeAccessGroup":      {true, addInitiators},
	"AddVolumesToVolumeAccessGroup":         {true, addVolumes},
	"CreateVolumeAccessGroup":               {true, createVolumeAccessGroup},
	"DeleteVolumeAccessGroup":               {true, deleteVolumeAccessGroup},
	"ListVolumeAccessGroups":                {false, listVolumeAccessGroups},
	"RemoveInitiatorsFromVolumeAccessGroup": {true, removeInitiators},
	"RemoveVolumesFromVolumeAccessGroup":    {true, removeVolumes},
}

// Call has the cluster carry out a method, as a request does that no server sees:
// for tests, as another client or an administrator. params become JSON. It fails
// with an *Error where a request is refused.
func (c *Cluster) Call(ctx context.Context, method string, params any) (json.RawMessage, error) {
	text, err := json.Marshal(params)
	if err != nil {
		return nil, err
	}
	values, refused := decodeParams(text)
	if refused != nil {
		return nil, refused
	}
	result, refused := c.run(ctx, method, values, nil)
	if refused != nil {
		return nil, refused
	}
	return result, nil
}

// run gives the result as JSON, as it may refer to the state.
func (c *Cluster) run(ctx context.Context, name string, values map[string]any, special *arraysim.Fault) (json.RawMessage, *Error) {
	m, ok := methods[name]
	if !ok {
		return nil, refuse(c.options.UnknownMethod, "Unknown method %q", name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	call := &call{
		params: &params{values: values}, ctx: context.WithoutCancel(ctx), options: &c.options,
		now: c.options.Now(), special: special, state: c.state, touched: map[int64]bool{},
	}
	if m.changes {
		call.state = c.state.clone()
	}
	result, refused := m.run(call)
	if refused == nil {
		refused = call.expose(c.state)
	}
	if refused != nil {
		return nil, call.takeBack(refused)
	}
	text, err := json.Marshal(result)
	if err != nil {
		return nil, call.takeBack(refuse(internalError, "%v", err))
	}
	c.state = call.state
	return text, nil
}

// takeBack undoes what the data plane did for a request that is refused.
func (c *call) takeBack(refused *Error) *Error {
	for _, undo := range slices.Backward(c.undo) {
		if err := undo(); err != nil {
			refused = refuse(refused.Name, "%s; undo: %v", refused.Message, err)
		}
	}
	return refused
}

// specially tells whether the request is under a special fault.
func (c *call) specially(name string) bool { return c.special != nil && c.special.Name == name }

// timestamp is a point in time as the interface writes it.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// MarshalJSON gives the state, secrets included.
func (c *Cluster) MarshalJSON() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return json.Marshal(c.state)
}

// UnmarshalJSON replaces the state. Options stay.
func (c *Cluster) UnmarshalJSON(text []byte) error {
	s := &state{}
	if err := json.Unmarshal(text, s); err != nil {
		return err
	}
	s.whole()
	if hole(s.Accounts) || hole(s.Volumes) || hole(s.Snapshots) || hole(s.Sets) || hole(s.Groups) || hole(s.Jobs) {
		return fault.Errorf(fault.ErrInvalid, "solidfire: a state with null for an object")
	}
	// A file that somebody has edited does not have identifiers given again.
	after(&s.Last.Account, s.Accounts)
	after(&s.Last.Volume, s.Volumes)
	after(&s.Last.Snapshot, s.Snapshots)
	after(&s.Last.Set, s.Sets)
	after(&s.Last.Group, s.Groups)
	after(&s.Last.Handle, s.Jobs)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
	return nil
}

func hole[V any](m map[int64]*V) bool {
	for _, v := range m {
		if v == nil {
			return true
		}
	}
	return false
}

func after[V any](last *int64, m map[int64]*V) {
	for id := range m {
		*last = max(*last, id)
	}
}

// Targets gives what initiators see now: a target for every volume that is there.
func (c *Cluster) Targets() []arraysim.Target {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.targets()
}

func (c *Cluster) targets() []arraysim.Target {
	var targets []arraysim.Target
	for _, id := range slices.Sorted(maps.Keys(c.state.Volumes)) {
		if t, ok := c.state.target(&c.options, id); ok {
			targets = append(targets, t)
		}
	}
	return targets
}

// Publish implements arraysim.Array.
func (c *Cluster) Publish(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all error
	for _, t := range c.targets() {
		all = errors.Join(all, c.options.Data.Expose(ctx, t))
	}
	return all
}
