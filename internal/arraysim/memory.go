// SPDX-License-Identifier: Apache-2.0

package arraysim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Memory is a data plane in memory. Login is what a host does.
type Memory struct {
	mu      sync.Mutex
	volumes map[string]*content
	targets map[string]Target
}

var _ Data = (*Memory)(nil)

// NewMemory makes an empty one.
func NewMemory() *Memory {
	return &Memory{volumes: map[string]*content{}, targets: map[string]Target{}}
}

// content has blocks that are never changed, only replaced, so that copies share
// them. One that is missing is of zeros.
type content struct {
	bytes  int64
	blocks map[int64][]byte
}

const blockBytes = 64 << 10

var (
	errNoVolume = errors.New("no such volume")
	errLogin    = errors.New("login refused")
)

// Create implements Data.
func (m *Memory) Create(_ context.Context, v Volume) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.volumes[v.ID] = &content{bytes: v.Bytes, blocks: map[int64][]byte{}}
	return nil
}

// Resize implements Data.
func (m *Memory) Resize(_ context.Context, id string, bytes int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.volumes[id]
	if c == nil {
		return fmt.Errorf("%s: %w", id, errNoVolume)
	}
	c.resize(bytes)
	return nil
}

func (c *content) resize(bytes int64) {
	for n := range c.blocks {
		if n*blockBytes >= bytes {
			delete(c.blocks, n)
		}
	}
	if last := c.blocks[bytes/blockBytes]; last != nil {
		block := make([]byte, blockBytes)
		copy(block, last[:bytes%blockBytes])
		c.blocks[bytes/blockBytes] = block
	}
	c.bytes = bytes
}

// Copy implements Data.
func (m *Memory) Copy(_ context.Context, copies ...Copy) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range copies {
		if m.volumes[c.From] == nil {
			return fmt.Errorf("%s: %w", c.From, errNoVolume)
		}
	}
	for _, c := range copies {
		to := &content{bytes: m.volumes[c.From].bytes, blocks: maps.Clone(m.volumes[c.From].blocks)}
		to.resize(c.To.Bytes)
		m.volumes[c.To.ID] = to
	}
	return nil
}

// RollBack implements Data.
func (m *Memory) RollBack(_ context.Context, id, from string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, old := m.volumes[id], m.volumes[from]
	if c == nil || old == nil {
		return fmt.Errorf("%s, %s: %w", id, from, errNoVolume)
	}
	c.bytes, c.blocks = old.bytes, maps.Clone(old.blocks)
	return nil
}

// Delete implements Data.
func (m *Memory) Delete(_ context.Context, ids ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		delete(m.volumes, id)
	}
	return nil
}

// Expose implements Data.
func (m *Memory) Expose(_ context.Context, t Target) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.targets[t.IQN] = t
	return nil
}

// Hide implements Data.
func (m *Memory) Hide(_ context.Context, iqn string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.targets, iqn)
	return nil
}

// Volumes lists what there are of volumes and snapshots.
func (m *Memory) Volumes() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.volumes))
}

// Login logs a host in to a target, as its initiator does by CHAP, or without if
// user is empty, and gives the disk at a LUN.
func (m *Memory) Login(iqn, initiator, user, password string, lun int) (*Disk, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, there := m.targets[iqn]
	if !there {
		return nil, fmt.Errorf("%s is no target: %w", iqn, errLogin)
	}
	i := slices.IndexFunc(t.Access, func(a Access) bool { return strings.EqualFold(a.Initiator, initiator) })
	if i < 0 {
		i = slices.IndexFunc(t.Access, func(a Access) bool { return a.Initiator == "" })
	}
	if i < 0 {
		return nil, fmt.Errorf("%s lets %s not in: %w", iqn, initiator, errLogin)
	}
	a := t.Access[i]
	without := user == "" && (a.CHAP == nil || a.Optional)
	if !without && (a.CHAP == nil || user != a.CHAP.User || password != a.CHAP.Password.Reveal()) {
		return nil, fmt.Errorf("%s: CHAP of %q: %w", iqn, user, errLogin)
	}
	n := slices.IndexFunc(a.LUNs, func(l LUN) bool { return l.Number == lun })
	if n < 0 {
		return nil, fmt.Errorf("%s shows no LUN %d to %s: %w", iqn, lun, initiator, errLogin)
	}
	return &Disk{LUN: a.LUNs[n], m: m}, nil
}

// Disk is a LUN as a host sees it.
type Disk struct {
	LUN

	m *Memory
}

func (d *Disk) content() (*content, error) {
	c := d.m.volumes[d.Volume]
	if c == nil {
		return nil, fmt.Errorf("%s: %w", d.Volume, errNoVolume)
	}
	return c, nil
}

// Size is what the disk has now, in bytes.
func (d *Disk) Size() int64 {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	if c, err := d.content(); err == nil {
		return c.bytes
	}
	return 0
}

// ReadAt implements io.ReaderAt.
func (d *Disk) ReadAt(p []byte, at int64) (int, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	c, err := d.content()
	if err != nil {
		return 0, err
	}
	if at < 0 || at+int64(len(p)) > c.bytes {
		return 0, io.ErrUnexpectedEOF
	}
	for done := 0; done < len(p); {
		pos := at + int64(done)
		n := min(len(p)-done, int(blockBytes-pos%blockBytes))
		clear(p[done : done+n])
		if block := c.blocks[pos/blockBytes]; block != nil {
			copy(p[done:done+n], block[pos%blockBytes:])
		}
		done += n
	}
	return len(p), nil
}

// WriteAt implements io.WriterAt.
func (d *Disk) WriteAt(p []byte, at int64) (int, error) {
	d.m.mu.Lock()
	defer d.m.mu.Unlock()
	c, err := d.content()
	switch {
	case err != nil:
		return 0, err
	case d.ReadOnly:
		return 0, fmt.Errorf("%s is read-only", d.Volume)
	case at < 0 || at+int64(len(p)) > c.bytes:
		return 0, io.ErrShortWrite
	}
	for done := 0; done < len(p); {
		pos := at + int64(done)
		block := make([]byte, blockBytes)
		copy(block, c.blocks[pos/blockBytes])
		done += copy(block[pos%blockBytes:], p[done:])
		c.blocks[pos/blockBytes] = block
	}
	return len(p), nil
}

// Close implements io.Closer.
func (d *Disk) Close() error { return nil }
