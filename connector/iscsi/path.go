// SPDX-License-Identifier: Apache-2.0

package iscsi

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/connector/internal/multipath"
	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/poll"
)

// path is one way to the volume while it is being made.
type path struct {
	target
	session       *session
	sessionBefore bool // it was there before us
	touched       bool // the node record and perhaps a session are of our making
	disk          scsi.Disk
	diskBefore    bool
	scanned       bool // a disk at the LUN, if there is one, may be of our making
	err           error
	notUndone     error // part of err: what could not be taken back
}

// open makes a path. On failure nothing of it is left.
func (j *job) open(ctx context.Context, t target) *path {
	p := &path{target: t}
	err := j.connect(ctx, p)
	if err == nil {
		err = j.expose(ctx, p)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		p.notUndone = j.close(ctx, p)
		p.err = fault.Join(fmt.Errorf("%s, LUN %d: %w", &p.target, p.lun, err), p.notUndone)
	}
	return p
}

// close takes back what open made.
func (j *job) close(ctx context.Context, p *path) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.limits.undo)
	defer cancel()
	var err error
	if p.session != nil && p.scanned && !p.diskBefore {
		err = scsi.AwaitScan(ctx, j.host, p.session.host)
		if d, ok := p.session.disk(j.host, p.lun); ok {
			err = fault.Join(err, j.remove(ctx, removal{disks: []scsi.Disk{d}, force: true}))
		}
	}
	// A session that has a disk is not logged out: kernels hang in that.
	if p.touched && !p.sessionBefore && err == nil {
		err = j.leave(ctx, j.node(&p.target), j.to(&p.target))
	}
	if err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	return nil
}

// leave logs sessions of a node out and deletes its record.
func (j *job) leave(ctx context.Context, n node, have []*session) error {
	var err error
	if len(have) > 0 {
		err = j.logout(ctx, n, func() bool { return j.left(have) })
	}
	if err == nil || !j.left(have) { // the record of a session stays with it
		err = fault.Join(err, j.forget(ctx, n))
	}
	if err != nil {
		return fmt.Errorf("log out of %s at %s: %w", n.iqn, n.portal, err)
	}
	return nil
}

// left tells whether one of the sessions is still there.
func (j *job) left(have []*session) bool {
	return slices.ContainsFunc(have, func(s *session) bool {
		_, err := os.Lstat(j.host.Path(s.class()))
		return err == nil
	})
}

// expose gives p its disk.
func (j *job) expose(ctx context.Context, p *path) error {
	if d, ok := p.session.disk(j.host, p.lun); ok && d.Name != "" {
		p.disk, p.diskBefore = d, true
		ok, err := j.stillIt(ctx, p)
		if ok || err != nil {
			return err
		}
		// Another volume was at the LUN, and nobody uses what is left of it.
		j.stale.Lock()
		err = j.removeUnused(ctx, d)
		j.stale.Unlock()
		if err != nil {
			return connector.Errorf(connector.ErrWrongDevice, "%s is or was another volume, %s: %w", d.Node(), naming(d.WWID), err)
		}
		p.diskBefore = false
	}
	if err := j.scan(ctx, p); err != nil {
		return err
	}
	if err := j.verify(p.disk); err != nil {
		return err
	}
	return j.large(ctx, p.disk)
}

// stillIt asks a disk that is there who it is now. One that has changed is of no
// use even if it is the volume now: the kernel, udev and multipathd may have it
// for the other one.
func (j *job) stillIt(ctx context.Context, p *path) (bool, error) {
	d := p.disk
	if j.verify(d) != nil || slices.ContainsFunc(multipath.Holding(j.host, d.Name), func(m *multipath.Map) bool { return !j.itsMap(m, d) }) {
		return false, nil
	}
	bounded, cancel := context.WithTimeout(ctx, j.limits.refresh)
	defer cancel()
	still, err := d.Still(bounded, j.host)
	if errors.Is(err, scsi.ErrNoInquiry) {
		if err = d.Rescan(bounded, j.host); err == nil || scsi.Gone(err) {
			now, ok := p.session.disk(j.host, p.lun)
			still, err = ok && now.Name == d.Name && now.WWID == d.WWID, nil
		}
	}
	if err != nil {
		return false, connector.Errorf(connector.ErrUnavailable, "%s does not answer: %w", d.Node(), err)
	}
	if !still {
		return false, nil
	}
	if state := d.State(j.host); state != "running" {
		return false, connector.Errorf(connector.ErrUnavailable, "%s is %s", d.Node(), state)
	}
	return true, j.large(ctx, d)
}

// rescans: os-brick looks again after 4, 9, 16 and 25 s; the first look is when
// the LUN is sure to be there with most arrays.
const (
	firstRescan = time.Second
	lastRescan  = 16 * time.Second
)

// scan has the kernel find the LUN, and waits for the disk.
func (j *job) scan(ctx context.Context, p *path) error {
	p.scanned = true
	again, due := firstRescan, time.Now()
	found, err := poll.Until(ctx, j.limits.device, func() (bool, error) {
		if d, ok := p.session.disk(j.host, p.lun); ok && d.State(j.host) != "created" && scsi.Ready(j.host, d.Name) {
			p.disk = d
			return true, nil
		}
		if time.Now().Before(due) {
			return false, nil
		}
		due = time.Now().Add(again)
		again = min(2*again, lastRescan)
		if err := scsi.Scan(ctx, j.host, p.session.at(j.host, p.lun)); err != nil {
			if state := p.session.state(j.host); state != loggedIn {
				return false, connector.Errorf(connector.ErrUnavailable, "session %d is %s: %w", p.session.id, naming(state), err)
			}
			return false, err
		}
		return false, nil
	})
	if err == nil && !found {
		return connector.Errorf(connector.ErrUnavailable, "no disk at LUN %d within %s", p.lun, j.limits.device)
	}
	return err
}

// verify compares a disk's identity with what it must be.
func (j *job) verify(d scsi.Disk) error {
	if len(j.wwids) == 0 || scsi.OneOf(d.WWID, j.wwids) {
		return nil
	}
	return connector.Errorf(connector.ErrWrongDevice, "%s is %s, and the volume %s", d.Node(), naming(d.WWID), strings.Join(j.wwids, ", "))
}

func naming(text string) string {
	if text == "" {
		return "nameless"
	}
	return text
}

// large waits until a disk has the size of the volume.
func (j *job) large(ctx context.Context, d scsi.Disk) error {
	due := time.Now()
	enough, err := poll.Until(ctx, j.limits.size, func() (bool, error) {
		if scsi.Size(j.host, d.Name) >= j.r.SizeBytes {
			return true, nil
		}
		if time.Now().Before(due) {
			return false, nil
		}
		due = time.Now().Add(firstRescan)
		err := d.Rescan(ctx, j.host)
		return err == nil && scsi.Size(j.host, d.Name) >= j.r.SizeBytes, err
	})
	if err == nil && !enough {
		err = connector.Errorf(connector.ErrWrongDevice, "%s has %d bytes, and the volume %d", d.Node(), scsi.Size(j.host, d.Name), j.r.SizeBytes)
	}
	return err
}
