// SPDX-License-Identifier: Apache-2.0

package drivers

import (
	"context"
	"log/slog"

	"github.com/gocinder/cinderlib/connector"
)

// Env is what the library hands a driver when it opens it. No field is nil.
type Env struct {
	Backend string          // the backend's name
	Log     *slog.Logger    // carries the backend's name
	Host    *connector.Host // this host: commands, files, host-wide locks
	// Locks are of this backend and hold against other processes: on all hosts
	// that share the store where it can do that (MySQL), otherwise on this one.
	// They are what Cinder's drivers take with coordination.synchronized.
	Locks connector.Locker
	// Copy copies blocks through this host. The context carries the caller's
	// progress report.
	Copy func(ctx context.Context, c CopyRequest) error
	// QuietTLS: do not warn of certificates that are not verified.
	QuietTLS bool
}

// CopyRequest asks for Bytes to be copied from Source to Target. Both ends must
// be objects that nobody else has connected to this host: a view of the source
// made for the copy rather than the source itself. The copy is complete and
// flushed when it returns, or it failed; its place in the target is then
// undefined.
type CopyRequest struct {
	Source, Target Endpoint
	Bytes          int64
	// Sparse says that the target reads as zeros where nothing is written, so
	// that zeros need no writing.
	Sparse bool
	// BytesPerSecond limits the speed; 0 does not.
	BytesPerSecond int64
}

// Endpoint is one end of a copy: a path on this host, or something on the array
// that is attached for the copy and detached after it.
type Endpoint struct {
	// Path is that of a file or block device as this process opens it; if it is
	// empty, Connect and Disconnect are used.
	Path string

	Connect    func(ctx context.Context, a *Attachment) (*connector.ConnInfo, error)
	Disconnect func(ctx context.Context, a *Attachment) error
}
