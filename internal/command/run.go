// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/internal/fault"
)

// The steps when a context ends; together they are well below a second.
const (
	termGrace = 500 * time.Millisecond // from SIGTERM to SIGKILL: time to clean up
	killGrace = 200 * time.Millisecond // from SIGKILL until the program is given up
	// pipeGrace is how long output is awaited from the children of a program that
	// has exited: a daemon that it started may hold the pipe for good.
	pipeGrace = 200 * time.Millisecond
)

// The most output that is kept.
const (
	maxStdout = 16 << 20
	maxStderr = 64 << 10
)

// Run runs c until it ends or ctx does. An exit code that is neither 0 nor in
// c.OK is an *Error, and the Result holds it too. When ctx ends the error wraps
// ctx.Err(), and the program has ended with all of its group; a program that
// even SIGKILL does not end (it hangs in the kernel, or is root's and the helper
// does not pass signals on) is left behind, and the error says so.
//
// A program that is not there wraps exec.ErrNotFound and is a case of
// fault.ErrPrecondition, not of fault.ErrNotFound: it says nothing of what the
// program was to find. A helper that refuses is fault.ErrPermission. Output
// beyond 16 MiB is fault.ErrExhausted.
func Run(ctx context.Context, c Command) (Result, error) {
	if len(c.Args) == 0 {
		return Result{Code: -1}, fault.Errorf(fault.ErrInvalid, "no program to run")
	}
	if err := ctx.Err(); err != nil {
		return Result{Code: -1}, fmt.Errorf("%s: %w", c.String(), err)
	}
	stdout, stderr := &output{limit: maxStdout}, &output{limit: maxStderr, tail: true}
	p, err := start(&c, stdout, stderr)
	if err != nil {
		return Result{Code: -1}, err
	}
	waitErr := p.wait(ctx)

	r := Result{Stdout: stdout.take(), Stderr: stderr.take(), Code: -1}
	if p.ended() {
		r.Code = p.cmd.ProcessState.ExitCode()
	}
	return r, c.judge(ctx, r, p, waitErr, stdout.overflown())
}

// process is a running command.
type process struct {
	cmd     *exec.Cmd
	helper  []string
	done    chan struct{} // closed when it has been waited for
	err     error         // of Wait; valid after done
	stopped bool          // by a signal of ours
}

func start(c *Command, stdout, stderr *output) (*process, error) {
	words := slices.Clone(c.Helper)
	if len(c.Env) > 0 && len(c.Helper) > 0 { // helpers make an environment of their own
		words = append(append(words, "env"), c.Env...)
	}
	words = append(words, c.Args...)
	path, err := find(words[0])
	if err != nil {
		return nil, c.notStarted(words[0], err)
	}
	cmd := exec.Command(path, words[1:]...) //nolint:noctx // the group is ended, not the process: see process.wait
	cmd.Args[0] = words[0]
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = pipeGrace
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if c.Stdin != nil {
		cmd.Stdin = bytes.NewReader(c.Stdin)
	}
	if err := cmd.Start(); err != nil {
		return nil, c.notStarted(words[0], err)
	}
	p := &process{cmd: cmd, helper: c.Helper, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// find gives the path of a program. The folders of administration are not in
// every user's PATH.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || strings.ContainsRune(name, '/') || !errors.Is(err, exec.ErrNotFound) {
		return path, err
	}
	for _, folder := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}

func (c *Command) notStarted(name string, err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return c.missing(name)
	}
	return fmt.Errorf("%s: %w", c, err)
}

// missing is the error of a program that is not there.
func (c *Command) missing(name string) error {
	if len(c.Helper) > 0 && name == c.Helper[0] {
		return fault.Errorf(fault.ErrPermission, "%s: needs root: root helper: %w", c, notInstalled(name))
	}
	return NotInstalled(name)
}

// NotInstalled is the error of a program that is not there: a case of
// exec.ErrNotFound and of fault.ErrPrecondition.
func NotInstalled(name string) error {
	return fault.Errorf(fault.ErrPrecondition, "%w", notInstalled(name))
}

// notInstalled is no case of fs.ErrNotExist, which a caller may take for the
// absence of what the program was to find.
type notInstalled string

func (n notInstalled) Error() string        { return "program " + string(n) + " is not installed" }
func (n notInstalled) Is(target error) bool { return target == exec.ErrNotFound }

// wait waits for the end of the process, and sees to it when ctx ends.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	p.stopped = true
	p.signal(syscall.SIGTERM)
	p.within(termGrace)
	// Also when the process has gone: others of its group may be left.
	p.signal(syscall.SIGKILL)
	if p.within(killGrace) {
		return p.err
	}
	return fmt.Errorf("process %d does not end and is left behind", p.cmd.Process.Pid)
}

func (p *process) within(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		return false
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// signal signals the group. What the helper made root's only root may signal:
// then the helper is asked to.
func (p *process) signal(sig syscall.Signal) {
	group := p.cmd.Process.Pid
	if err := syscall.Kill(-group, sig); err != syscall.EPERM || len(p.helper) == 0 {
		return
	}
	words := append(slices.Clone(p.helper), "kill", fmt.Sprintf("-%d", sig), "--", fmt.Sprintf("-%d", group))
	kill := exec.Command(words[0], words[1:]...) //nolint:noctx // must outlive the context that ended
	if kill.Start() == nil {
		go func() { _ = kill.Wait() }()
	}
}
