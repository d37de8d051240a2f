// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/url"

	"github.com/gocinder/cinderlib/internal/fault"
)

// lost is the error of a request that was sent, and whose answer did not come, or
// does not tell what became of it.
type lost struct{ err error }

func (l lost) Error() string {
	return "the answer is lost, it may have been carried out: " + l.err.Error()
}
func (l lost) Unwrap() error { return l.err }

// Uncertain marks the error of an array that does not tell whether it has carried
// out the request. It is sent again only if it may be carried out twice.
func Uncertain(err error) error { return lost{err} }

// Lost tells whether err is that of a request that may have been carried out.
func Lost(err error) bool {
	_, is := errors.AsType[lost](err)
	return is
}

// busy is an answer that says: not now, and nothing was done.
type busy struct{ err error }

func (b busy) Error() string { return b.err.Error() }
func (b busy) Unwrap() error { return b.err }

// Busy marks the error of an array that has done nothing and may do it later.
func Busy(err error) error { return busy{err} }

// IsBusy tells whether err is marked so.
func IsBusy(err error) bool {
	_, is := errors.AsType[busy](err)
	return is
}

var errTooLong = fault.Errorf(fault.ErrInternal, "the answer is longer than any can be")

// unanswered tells what an error of the transport means, and whether the array may
// answer later.
func (c *Client) unanswered(ctx context.Context, err error) (error, bool) {
	// What url.Error adds is known.
	if u, is := errors.AsType[*url.Error](err); is {
		err = u.Err
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err(), false
	case errors.Is(err, errTooLong):
		return err, false
	case untrusted:
		return fault.Errorf(fault.ErrPrecondition, "the certificate of %s is not trusted: %w", c.base.Host, err), false
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Errorf(fault.ErrUnavailable, "%s does not answer within %s", c.base.Host, c.o.Timeout), true
	}
	return fault.Errorf(fault.ErrUnavailable, "%s: %w", c.base.Host, err), true
}

// Status makes an error of the status of an answer that is none of success. What an
// array does not carry out for the time being is Busy, what failed in it Uncertain.
func Status(a *Answer) error {
	of, mark := fault.ErrInternal, func(err error) error { return err }
	switch a.Status {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent:
		return nil
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		of = fault.ErrInvalid
	case http.StatusForbidden:
		of = fault.ErrPermission
	case http.StatusNotFound:
		of = fault.ErrNotFound
	case http.StatusConflict:
		of = fault.ErrConflict
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		of, mark = fault.ErrUnavailable, Busy
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		of, mark = fault.ErrUnavailable, Uncertain
	}
	return mark(fault.Errorf(of, "status %d %s: %s", a.Status, http.StatusText(a.Status), a.Excerpt()))
}
