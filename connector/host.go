// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"log/slog"
	"path/filepath"
)

// Host is a host that devices are attached to: the file system to work on, the
// way to run commands, the locks that keep two processes apart. Its fields are
// set once, before use; none but Files is nil.
type Host struct {
	// Root is put before every path of the host; "" is the host itself, tests
	// use a folder.
	Root string
	Run  Runner
	// Files makes what only root may do with files; nil: NewFiles(Run).
	Files Files
	// Locks serialise steps of the whole host: scans, logins, flushes.
	Locks Locker
	Log   *slog.Logger
	// Name and IP are what Properties reports; empty: the host's own name, none.
	Name string
	IP   string
}

// Path gives a path of the host as this process sees it.
func (h *Host) Path(p string) string {
	if h.Root == "" {
		return p
	}
	return filepath.Join(h.Root, p)
}

// Locker hands out locks by name. Lock waits until the lock is free or ctx ends.
// A lock is released by calling unlock, and by the end of the process.
type Locker interface {
	Lock(ctx context.Context, name string) (unlock func(), err error)
}

// Runner runs commands. One method, so that a simulated host is easily made.
type Runner interface {
	Run(ctx context.Context, c Command) (Result, error)
}

// Command is a program to run. No shell is involved.
type Command struct {
	Args []string // the program and its arguments
	// Secret lists the positions in Args that logs and errors must not show.
	Secret []int
	Stdin  []byte
	// Env has variables, as NAME=VALUE, beside those of this process. They reach a
	// program behind the root helper too.
	Env []string
	// Root asks for root's rights: the root helper is put before Args where the
	// process is not root.
	Root bool
	// OK are the exit codes, beside 0, that are no error.
	OK []int
}

// Result is what a command left.
type Result struct {
	Stdout, Stderr []byte
	Code           int
}
