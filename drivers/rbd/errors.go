// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"errors"
	"slices"
	"strings"
	"syscall"

	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/drivers/rbd/internal/ceph"
)

// meanings are what numbers of the cluster mean to callers.
var meanings = map[syscall.Errno]error{
	syscall.ENOENT:       drivers.ErrNotFound,
	syscall.EEXIST:       drivers.ErrExists,
	syscall.EBUSY:        drivers.ErrInUse,
	syscall.ENOTEMPTY:    drivers.ErrHasDependents,
	syscall.ENOSPC:       drivers.ErrExhausted,
	syscall.EDQUOT:       drivers.ErrExhausted,
	syscall.EFBIG:        drivers.ErrInvalid,
	syscall.EDOM:         drivers.ErrInvalid, // of a size, or an order
	syscall.EINVAL:       drivers.ErrInvalid,
	syscall.EPERM:        drivers.ErrPermission,
	syscall.EACCES:       drivers.ErrPermission,
	syscall.EROFS:        drivers.ErrPermission,
	syscall.EOPNOTSUPP:   errors.ErrUnsupported,
	syscall.ENOSYS:       errors.ErrUnsupported,
	syscall.ETIMEDOUT:    drivers.ErrUnavailable,
	syscall.ESHUTDOWN:    drivers.ErrUnavailable,
	syscall.ENOTCONN:     drivers.ErrUnavailable,
	syscall.ECONNREFUSED: drivers.ErrUnavailable,
	syscall.EAGAIN:       drivers.ErrUnavailable,
	syscall.EIO:          drivers.ErrUnavailable,
}

// connecting are what they mean when a connection is made.
var connecting = map[syscall.Errno]struct {
	of   error
	text string
}{
	syscall.EACCES:     {drivers.ErrUnauthenticated, "the cluster refuses the key"},
	syscall.EPERM:      {drivers.ErrUnauthenticated, "the cluster refuses the key"},
	syscall.EOPNOTSUPP: {drivers.ErrUnauthenticated, "the client has no way to authenticate that the cluster takes; is its keyring there, and may it be read?"},
	syscall.ENOENT:     {drivers.ErrUnauthenticated, "no monitor is known, or there is no key: see mon_host and keyring of ceph.conf"},
	syscall.EINVAL:     {drivers.ErrInvalid, "the configuration names no monitor"},
	syscall.ETIMEDOUT:  {drivers.ErrUnavailable, "no monitor has answered"},
}

// classified marks an error of the cluster as what it is. What is marked already
// stays so.
func classified(err error) error {
	var e *ceph.Error
	if !errors.As(err, &e) || marked(err) {
		return err
	}
	if strings.HasPrefix(e.Op, "connect") {
		if m, ok := connecting[e.Errno]; ok {
			return drivers.Errorf(m.of, "%w: %s", err, m.text)
		}
	}
	if e.Op == "read" && e.Errno != 0 && strings.Contains(e.What, "ceph.conf") {
		return drivers.Errorf(drivers.ErrInvalid, "rbd_ceph_conf: %w", err)
	}
	if of := meanings[e.Errno]; of != nil {
		return drivers.Errorf(of, "%w", err)
	}
	return err
}

func marked(err error) bool {
	for _, of := range meanings {
		if errors.Is(err, of) {
			return true
		}
	}
	return errors.Is(err, drivers.ErrPrecondition) || errors.Is(err, drivers.ErrUnauthenticated)
}

// is tells whether the cluster answered one of the numbers.
func is(err error, numbers ...syscall.Errno) bool {
	var e *ceph.Error
	if !errors.As(err, &e) {
		return false
	}
	return slices.Contains(numbers, e.Errno)
}

// but forgets an error that is one of the numbers.
func but(err error, numbers ...syscall.Errno) error {
	if is(err, numbers...) {
		return nil
	}
	return err
}

// unreachable tells whether trying again makes sense.
func unreachable(err error) bool {
	return is(err, syscall.ETIMEDOUT, syscall.ECONNREFUSED, syscall.ENOTCONN, syscall.EAGAIN, syscall.EIO, syscall.EHOSTUNREACH, syscall.ENETUNREACH)
}
