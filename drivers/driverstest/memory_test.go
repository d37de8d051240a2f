// SPDX-License-Identifier: Apache-2.0

package driverstest

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
)

// memory is an array that keeps the contract but for one thing, broken.
type memory struct {
	broken string

	mu        sync.Mutex
	busy      atomic.Int32
	slow      atomic.Bool // has been
	volumes   map[string]*object
	snapshots map[string]*object
	secrets   int
}

type object struct {
	size    int64
	pages   map[int64][]byte // by offset
	asked   string           // of its type
	access  map[string]bool  // by initiator
	secret  string
	lun     int
	made    string // what ProviderID says
	of      string // the volume of a snapshot
	foreign bool
}

func newMemory(broken string) *memory {
	return &memory{broken: broken, volumes: map[string]*object{}, snapshots: map[string]*object{}}
}

func (m *memory) array(*testing.T) *Array {
	return &Array{
		Open: func(*testing.T) drivers.Driver {
			if m.broken == "forgets" {
				return newDriver(newMemory(m.broken))
			}
			return newDriver(m)
		},
		Data: func(t *testing.T, c *connector.ConnInfo) Data {
			m.mu.Lock()
			defer m.mu.Unlock()
			d := c.Data.(*connector.ISCSIData)
			o := m.volumes[d.TargetIQN]
			if o == nil || !o.access[d.AuthUsername] {
				t.Fatalf("%s has no access to %s", d.AuthUsername, d.TargetIQN)
			}
			return &content{m, o}
		},
		Access: func(_ *testing.T, v *drivers.Volume, h *connector.Properties) bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			o := m.volumes[v.NameOnArray()]
			return o != nil && o.access[h.Initiator]
		},
		Foreign: func(_ *testing.T, bytes int64) string {
			m.mu.Lock()
			defer m.mu.Unlock()
			ref := "foreign-" + uuid.NewString()
			m.volumes[ref] = &object{size: bytes, pages: map[int64][]byte{}, access: map[string]bool{}, foreign: true}
			return ref
		},
	}
}

// content is the data of an object, in whole places.
type content struct {
	m *memory
	o *object
}

func (c *content) ReadAt(b []byte, at int64) (int, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if at+int64(len(b)) > c.o.size {
		return 0, errors.New("behind the end")
	}
	clear(b)
	return copy(b, c.o.pages[at]) + max(0, len(b)-len(c.o.pages[at])), nil
}

func (c *content) WriteAt(b []byte, at int64) (int, error) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	if at+int64(len(b)) > c.o.size {
		return 0, errors.New("behind the end")
	}
	if !c.m.is("writes lost") {
		c.o.pages[at] = slices.Clone(b)
	}
	return len(b), nil
}

func (c *content) Close() error { return nil }

func TestMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	// The last three are not broken: they are arrays of another kind.
	for _, kind := range []string{"", "plain", "single attach", "connected refused", "dependents"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			Run(t, Harness{New: func(t *testing.T) *Array { return newMemory(kind).array(t) }})
		})
	}
	t.Run("blind", func(t *testing.T) {
		t.Parallel()
		Run(t, Harness{Serial: true, New: func(t *testing.T) *Array {
			a := newMemory("").array(t)
			a.Data, a.Access = nil, nil
			return a
		}})
	})
}

func TestSkips(t *testing.T) {
	t.Parallel()
	faults := wrongSkips(map[string]string{"Stats": "", "Nothing": "because", "Create": "reason"}, checks())
	assert.Len(t, faults, 2)
	assert.Contains(t, faults[0], `"Nothing", which is none of Stats, Create`)
	assert.Contains(t, faults[1], `no reason for "Stats"`)
}
