// SPDX-License-Identifier: Apache-2.0

// Package fakehost simulates a Linux host for tests: a folder with /sys, /dev
// and /etc in it, and programs that are Go functions. The functions may keep
// state and change the files, as the programs they stand for do, so that code
// under test is judged by what it brings about and not by what it calls.
package fakehost

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/command"
	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/lock"
)

// Program stands for a program. args are without its name. Several may run at
// the same time, as on a real host. One that takes its time should end with ctx.
type Program func(ctx context.Context, args []string, stdin []byte) connector.Result

// Host is a simulated host. It implements connector.Runner.
type Host struct {
	Root string // the folder that stands for /

	tb       testing.TB
	locks    lock.Keyed
	mu       sync.Mutex
	programs map[string]Program
	calls    []connector.Command
}

// New makes a host with empty folders /dev, /etc, /proc and /sys, that knows no
// program.
func New(tb testing.TB) *Host {
	tb.Helper()
	h := &Host{Root: tb.TempDir(), tb: tb, programs: map[string]Program{}}
	for _, folder := range []string{"dev", "etc", "proc", "sys/block"} {
		require.NoError(tb, os.MkdirAll(filepath.Join(h.Root, folder), 0o755))
	}
	return h
}

// Connector is the host as a Connector sees it. Every call gives a new value
// with the same locks, to be changed at will.
func (h *Host) Connector() *connector.Host {
	return &connector.Host{Root: h.Root, Run: h, Locks: &h.locks, Log: slog.New(slog.DiscardHandler), Name: "fakehost"}
}

// Path gives the place of a path of the host.
func (h *Host) Path(path string) string { return filepath.Join(h.Root, path) }

// Write makes a file, with its folders.
func (h *Host) Write(path, text string) {
	h.tb.Helper()
	require.NoError(h.tb, os.MkdirAll(filepath.Dir(h.Path(path)), 0o755))
	require.NoError(h.tb, os.WriteFile(h.Path(path), []byte(text), 0o600))
}

// Link makes a symbolic link, with its folders. target is written as it is, so
// it should be relative.
func (h *Host) Link(path, target string) {
	h.tb.Helper()
	require.NoError(h.tb, os.MkdirAll(filepath.Dir(h.Path(path)), 0o755))
	require.NoError(h.tb, os.Symlink(target, h.Path(path)))
}

// Process makes a process that runs a program, told in words.
func (h *Host) Process(pid int, words ...string) {
	h.tb.Helper()
	dir := "/proc/" + strconv.Itoa(pid)
	h.Write(dir+"/comm", filepath.Base(words[0])+"\n")
	h.Write(dir+"/cmdline", strings.Join(words, "\x00")+"\x00")
	h.Link(dir+"/exe", words[0])
}

// Remove removes a file or folder and all in it.
func (h *Host) Remove(path string) {
	h.tb.Helper()
	require.NoError(h.tb, os.RemoveAll(h.Path(path)))
}

// AddDisk makes a SCSI disk: a sparse file /dev/NAME and its entry in
// /sys/block. wwid is as sysfs has it (naa.6…); empty for none.
func (h *Host) AddDisk(name string, size int64, wwid string) {
	h.tb.Helper()
	h.Write("/dev/"+name, "")
	require.NoError(h.tb, os.Truncate(h.Path("/dev/"+name), size))
	h.Write("/sys/block/"+name+"/size", strconv.FormatInt(size/512, 10)+"\n")
	h.Write("/sys/block/"+name+"/device/state", "running\n")
	if wwid != "" {
		h.Write("/sys/block/"+name+"/device/wwid", wwid+"\n")
	}
}

// Handle installs a program, in place of an earlier one of that name; nil
// removes it.
func (h *Host) Handle(name string, p Program) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p == nil {
		delete(h.programs, name)
		return
	}
	h.programs[name] = p
}

// Calls lists the commands run since New or the last Forget.
func (h *Host) Calls() []connector.Command {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// Count counts the commands of one program, or of all for "".
func (h *Host) Count(name string) int {
	n := 0
	for _, c := range h.Calls() {
		if name == "" || c.Args[0] == name {
			n++
		}
	}
	return n
}

// Forget empties the list of commands.
func (h *Host) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = nil
}

// Run implements connector.Runner with the manners of the real one: an exit code
// that is not allowed is an error, and so is a program that is not there.
func (h *Host) Run(ctx context.Context, c connector.Command) (connector.Result, error) {
	if len(c.Args) == 0 {
		return connector.Result{Code: -1}, fault.Errorf(fault.ErrInvalid, "no program to run")
	}
	name := c.Args[0]
	h.mu.Lock()
	c.Args = slices.Clone(c.Args)
	h.calls = append(h.calls, c)
	program := h.programs[name]
	h.mu.Unlock()
	if program == nil {
		return connector.Result{Code: -1}, command.NotInstalled(name)
	}
	if err := ctx.Err(); err != nil {
		return connector.Result{Code: -1}, fmt.Errorf("%s: %w", name, err)
	}
	r := program(ctx, c.Args[1:], c.Stdin)
	if err := ctx.Err(); err != nil {
		return r, fmt.Errorf("%s: %w", name, err)
	}
	if r.Code != 0 && !slices.Contains(c.OK, r.Code) {
		return r, fmt.Errorf("%s: exit %d: %s", name, r.Code, strings.TrimSpace(string(r.Stderr)))
	}
	return r, nil
}
