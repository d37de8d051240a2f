// SPDX-License-Identifier: Apache-2.0

package xtremio_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
)

const (
	iqn1 = "iqn.2008-05.com.xtremio:xio00151000001-514f0c50a1b2c300"
	iqn2 = "iqn.2008-05.com.xtremio:xio00151000001-514f0c50a1b2c304"
)

// plane is a data plane in memory that remembers what it was asked for, and fails
// on request.
type plane struct {
	*arraysim.Memory

	mu    sync.Mutex
	fail  string // the call that fails
	after int    // so many of them do not
	ever  bool   // more than one fails
	calls []string
}

func newPlane() *plane { return &plane{Memory: arraysim.NewMemory()} }

func (p *plane) asked(call, what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, call+" "+what)
	if p.fail == call {
		if p.after--; p.after < 0 {
			if !p.ever {
				p.fail = ""
			}
			return errors.New("no more " + call)
		}
	}
	return nil
}

// failing forgets what was asked, and has a call fail once.
func (p *plane) failing(call string, after int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail, p.after, p.calls = call, after, nil
}

func (p *plane) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func (p *plane) Create(ctx context.Context, v arraysim.Volume) error {
	if err := p.asked("create", fmt.Sprint(v.ID, " ", v.BlockSize)); err != nil {
		return err
	}
	return p.Memory.Create(ctx, v)
}

func (p *plane) Resize(ctx context.Context, id string, bytes int64) error {
	if err := p.asked("resize", fmt.Sprint(id, " ", bytes>>30)); err != nil {
		return err
	}
	return p.Memory.Resize(ctx, id, bytes)
}

func (p *plane) Copy(ctx context.Context, copies ...arraysim.Copy) error {
	var what []string
	for _, c := range copies {
		what = append(what, c.From+">"+c.To.ID)
	}
	if err := p.asked("copy", strings.Join(what, " ")); err != nil {
		return err
	}
	return p.Memory.Copy(ctx, copies...)
}

func (p *plane) RollBack(ctx context.Context, id, from string) error {
	if err := p.asked("roll back", id+" "+from); err != nil {
		return err
	}
	return p.Memory.RollBack(ctx, id, from)
}

func (p *plane) Delete(ctx context.Context, ids ...string) error {
	if err := p.asked("delete", strings.Join(ids, " ")); err != nil {
		return err
	}
	return p.Memory.Delete(ctx, ids...)
}

func (p *plane) Expose(ctx context.Context, t arraysim.Target) error {
	if err := p.asked("expose", t.IQN[len(t.IQN)-3:]); err != nil {
		return err
	}
	return p.Memory.Expose(ctx, t)
}

func (p *plane) Hide(ctx context.Context, iqn string) error {
	if err := p.asked("hide", iqn[len(iqn)-3:]); err != nil {
		return err
	}
	return p.Memory.Hide(ctx, iqn)
}

// write and text are what a host does to the disk it sees.
func write(t *testing.T, p *plane, lun int, text string) {
	t.Helper()
	d, err := p.Login(iqn1, host, "", "", lun)
	require.NoError(t, err)
	_, err = d.WriteAt([]byte(text), 0)
	require.NoError(t, err)
}

func textOf(t *testing.T, p *plane, lun int) string {
	t.Helper()
	d, err := p.Login(iqn2, host, "", "", lun)
	require.NoError(t, err)
	b := make([]byte, 5)
	_, err = d.ReadAt(b, 0)
	require.NoError(t, err)
	return strings.TrimRight(string(b), "\x00")
}

// Snapshots, clones and restores have the bytes of their moment.
func TestBytes(t *testing.T) {
	t.Parallel()
	p := newPlane()
	s := newSim(t, xtremio.Options{Data: p})
	s.volume("v")
	s.attached(host, "v") // LUN 1
	write(t, p, 1, "one")
	s.made("snapshots", object{"volume-list": []string{"v"}, "snap-suffix": "ro", "snapshot-type": "readonly"}) // 2
	write(t, p, 1, "two")
	s.snapshot("v", "rw") // 3
	for n, snap := range []string{"v.ro", "v.rw"} {
		s.made("lun-maps", object{"vol-id": snap, "ig-id": host, "lun": n + 2})
	}
	assert.Equal(t, "two", textOf(t, p, 1))
	assert.Equal(t, "one", textOf(t, p, 2))
	assert.Equal(t, "two", textOf(t, p, 3))
	write(t, p, 3, "three")
	assert.Equal(t, "two", textOf(t, p, 1), "a clone is of its own")
	d, err := p.Login(iqn1, host, "", "", 2)
	require.NoError(t, err)
	_, err = d.WriteAt([]byte("x"), 0)
	require.Error(t, err, "it is read-only")

	s.made("snapshots", object{"from-volume-id": "v.ro", "to-volume-id": "v", "backup-snap-suffix": "old"}) // 4
	assert.Equal(t, "one", textOf(t, p, 1))
	s.made("lun-maps", object{"vol-id": "v.old", "ig-id": host})
	assert.Equal(t, "two", textOf(t, p, 4))
	s.made("snapshots", object{"from-volume-id": "v", "to-volume-id": "v.rw", "no-backup": "true"})
	assert.Equal(t, "one", textOf(t, p, 3), "refreshed")
	assert.Equal(t, []string{"volume-1", "volume-2", "volume-3", "volume-4"}, p.Volumes(), "nothing is left over")

	s.ok(put, "volumes?name=v", object{"vol-size": "2g"})
	d, err = p.Login(iqn2, host, "", "", 1)
	require.NoError(t, err)
	assert.Equal(t, int64(2*gib), d.Size())
	assert.Equal(t, arraysim.LUN{
		Number: 1, Volume: "volume-1", Bytes: 2 * gib, BlockSize: 512, Serial: "514f0c5a1b2c0001", NAA: "514f0c5a1b2c0001",
		Vendor: "XtremIO", Product: "XtremApp",
	}, d.LUN)
	s.ok(put, "volumes?name=v", object{"vol-access": "no_access"})
	_, err = p.Login(iqn1, host, "", "", 1)
	require.Error(t, err)
}

// Who gets in, where, and how.
func TestAccess(t *testing.T) {
	t.Parallel()
	p := newPlane()
	s := newSim(t, xtremio.Options{Data: p})
	require.NoError(t, s.xms.Publish(t.Context()))
	in := func(initiator, user, password string) bool {
		_, err1 := p.Login(iqn1, initiator, user, password, 1)
		_, err2 := p.Login(iqn2, initiator, user, password, 1)
		assert.Equal(t, err1 == nil, err2 == nil, "both targets are the same")
		return err1 == nil
	}
	s.volume("v")
	s.attached(host)
	assert.False(t, in(host, "", ""), "no volume yet")
	s.made("lun-maps", object{"vol-id": "v", "ig-id": host})
	assert.True(t, in(host, "", ""))
	assert.False(t, in("iqn.x:other", "", ""))
	s.made("initiators", object{"initiator-name": "second", "port-address": "iqn.x:second", "ig-id": host})
	s.made("initiators", object{"initiator-name": "fc", "port-address": "10:00:00:00:c9:00:00:01", "ig-id": host})
	assert.True(t, in("iqn.x:second", "", ""), "of the same group")
	assert.False(t, in("10:00:00:00:c9:00:00:01", "", ""))

	require.NoError(t, s.xms.SetCHAP(t.Context(), "brick1", "initiator", "disabled"))
	assert.False(t, in(host, "", ""), "without a password")
	s.ok(put, "initiators/1", object{"initiator-authentication-user-name": "u", "initiator-authentication-password": "canary-login",
		"cluster-authentication-user-name": "c", "cluster-authentication-password": "canary-clust"})
	assert.True(t, in(host, "u", "canary-login"))
	assert.False(t, in(host, "u", "canary-wrong"))
	assert.False(t, in(host, "", ""))
	chap := s.xms.Targets()[1].Access[0].CHAP
	assert.Empty(t, chap.TargetUser, "not in this mode")
	require.NoError(t, s.xms.SetCHAP(t.Context(), "brick1", "mutual", "disabled"))
	chap = s.xms.Targets()[1].Access[0].CHAP
	assert.Equal(t, "c", chap.TargetUser)
	assert.Equal(t, "canary-clust", chap.TargetPassword.Reveal())
	require.NoError(t, s.xms.SetCHAP(t.Context(), "brick1", "disabled", "disabled"))
	assert.True(t, in(host, "", ""))

	p.failing("", 0)
	require.NoError(t, s.xms.SetTarget(t.Context(), "brick1", "X1-SC1-iscsi1", false))
	_, err := p.Login(iqn1, host, "", "", 1)
	require.Error(t, err)
	require.NoError(t, s.xms.SetPortal(t.Context(), "brick1", "10.205.68.6/16", false))
	require.NoError(t, s.xms.SetTarget(t.Context(), "brick1", "X1-SC1-iscsi1", true))
	require.NoError(t, s.xms.SetPortal(t.Context(), "brick1", "10.205.68.6/16", true))
	s.ok(put, "volumes/1", object{"name": "w"})
	s.ok(del, "initiators/2", nil)
	assert.False(t, in("iqn.x:second", "", ""))
	s.ok(del, "lun-maps/1", nil)
	assert.False(t, in(host, "", ""))
	s.ok(del, "volumes/1", nil)
	s.ok(del, "initiator-groups/1", nil)
	assert.Empty(t, s.xms.Targets()[0].Access)
	assert.Equal(t, []string{
		"hide 300", "hide 304", "expose 300", "expose 304", "expose 300", "expose 304", "expose 300", "expose 304", "delete volume-1",
		"expose 300", "expose 304",
	}, p.log(), "a new name is nothing to see; what nobody sees is deleted")
}

// What the data plane refuses, the array refuses, and neither has changed.
func TestDataPlaneFails(t *testing.T) {
	t.Parallel()
	p := newPlane()
	s := newSim(t, xtremio.Options{Data: p, DeleteMapped: true})
	s.volume("v")
	s.volume("w")
	s.attached(host, "v", "w")
	write(t, p, 1, "one")
	s.made("consistency-groups", object{"consistency-group-name": "cg", "vol-list": []string{"v", "w"}})
	s.made("snapshots", object{"consistency-group-id": "cg", "snapshot-set-name": "set"})
	write(t, p, 1, "two")
	s.ok(put, "volumes?name=v", object{"vol-size": "2g"})
	state, volumes := stateOf(t, s.xms), p.Volumes()
	restore := object{"from-snapshot-set-id": "set", "to-consistency-group-id": "cg"}
	for _, c := range []struct {
		fail       string
		after      int
		verb, path string
		body       object
	}{
		{"create", 0, post, "volumes", object{"vol-name": "x", "vol-size": "1g"}},
		{"resize", 0, put, "volumes?name=v", object{"vol-size": "3g"}},
		{"expose", 0, put, "volumes?name=v", object{"vol-size": "3g"}},
		{"expose", 1, put, "volumes?name=v", object{"vol-size": "3g"}},
		{"copy", 0, post, "snapshots", object{"volume-list": []string{"v", "w"}}},
		{"copy", 0, post, "snapshots", restore},
		{"copy", 1, post, "snapshots", restore},
		{"roll back", 0, post, "snapshots", restore},
		{"roll back", 1, post, "snapshots", restore},
		{"expose", 1, post, "snapshots", restore},
		{"delete", 0, post, "snapshots", restore},
		{"expose", 0, del, "volumes?name=v", nil},
		{"expose", 1, del, "volumes?name=v", nil},
		{"delete", 0, del, "volumes?name=v", nil},
		{"delete", 0, del, "snapshot-sets?name=set", nil},
		{"expose", 1, post, "lun-maps", object{"vol-id": "v.snapshot.1", "ig-id": host}},
		{"expose", 1, post, "initiators", object{"initiator-name": "i", "port-address": "iqn.x:i", "ig-id": host}},
		{"expose", 0, del, "initiators/1", nil},
	} {
		p.failing(c.fail, c.after)
		about := fmt.Sprintf("%s %d %s %s", c.fail, c.after, c.verb, c.path)
		status, answer := s.send(c.verb, c.path, c.body)
		assert.Equal(t, 500, status, about)
		assert.Equal(t, "data plane: no more "+c.fail, answer["message"], about)
		require.Equal(t, state, stateOf(t, s.xms), about)
		require.Equal(t, volumes, p.Volumes(), about)
		require.Equal(t, "two", textOf(t, p, 1), about)
		for _, iqn := range []string{iqn1, iqn2} {
			d, err := p.Login(iqn, host, "", "", 1)
			require.NoError(t, err, about)
			assert.Equal(t, int64(2*gib), d.Size(), about)
			assert.Equal(t, int64(2*gib), d.Bytes, about)
			_, err = p.Login(iqn, host, "", "", 3)
			require.Error(t, err, about)
		}
	}
	p.failing("expose", 1)
	p.ever = true
	_, answer := s.send(del, "initiators/1", nil)
	assert.Equal(t, "data plane: no more expose; undo: no more expose", answer["message"])
	p.ever = false
	p.failing("", 0)
	require.NoError(t, s.xms.Publish(t.Context()))
	p.failing("expose", 1)
	require.ErrorContains(t, s.xms.SetCHAP(t.Context(), "brick1", "initiator", "disabled"), "no more expose")
	assert.Equal(t, "disabled", s.content("clusters/1")["chap-authentication-mode"])
	assert.Equal(t, "two", textOf(t, p, 1))
}
