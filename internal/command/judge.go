// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/internal/fault"
)

// maxShown is the most of what a program wrote that an error shows.
const maxShown = 1 << 10

// judge makes the error of a run, nil if it went well.
func (c *Command) judge(ctx context.Context, r Result, p *process, waitErr error, overflown bool) error {
	exit, exited := errors.AsType[*exec.ExitError](waitErr)
	switch {
	case exited:
		waitErr = exitError{exit}
	case errors.Is(waitErr, exec.ErrWaitDelay):
		waitErr = nil // a daemon that the program left behind holds its output: no fault
	}
	failed := &Error{Command: c.String(), Result: r, causes: []error{waitErr}}
	failed.Result.Stderr = []byte(brief(c.hide(string(r.Stderr))))
	switch {
	case p.stopped && waitErr == nil:
		failed.causes = []error{ctx.Err()}
	case p.stopped:
		failed.causes = []error{ctx.Err(), waitErr}
	case waitErr == nil && overflown:
		return fault.Errorf(fault.ErrExhausted, "%s: wrote more than %d MiB", failed.Command, maxStdout>>20)
	case waitErr == nil:
		return nil
	case c.refusal(r) != "":
		return fault.Errorf(fault.ErrPermission, "%s: needs root, and the root helper %s refused: %s: %w",
			failed.Command, c.Helper[0], c.refusal(r), waitErr)
	case r.Code == 1 && c.helperLine(r, "command not found") != "",
		r.Code == 127 && len(c.Helper) > 0 && len(c.Env) > 0: // env(1) has found nothing
		return c.missing(c.Args[0])
	case r.Code > 0 && slices.Contains(c.OK, r.Code):
		return nil
	}
	return failed
}

// exitError is an *exec.ExitError with a shorter text.
type exitError struct{ *exec.ExitError }

func (e exitError) Error() string {
	if code := e.ExitCode(); code >= 0 {
		return fmt.Sprintf("exit %d", code)
	}
	return e.ExitError.Error()
}

func (e exitError) Unwrap() error { return e.ExitError }

// refusals are what root helpers write when they do not run a command: sudo,
// doas, and rootwrap as OpenStack has it.
var refusals = []string{
	"a password is required", "a terminal is required", "no tty present",
	"is not in the sudoers file", "is not allowed to", "may not run sudo",
	"must be owned by uid 0", "effective uid is not 0", "no new privileges",
	"Operation not permitted", "Authentication required", "a tty is required",
	"Unauthorized command",
}

// refusal tells how the helper refuses to run the command; empty if it does not.
func (c *Command) refusal(r Result) string {
	for _, phrase := range refusals {
		line := c.helperLine(r, phrase)
		switch {
		case line == "":
			continue
		case len(c.Secret) > 0:
			return phrase // sudo writes the arguments, quoted in its own way
		}
		return line
	}
	return ""
}

// helperLine finds the line with the phrase that the helper wrote: one that
// begins with its name or, of sudo, with Sorry.
func (c *Command) helperLine(r Result, phrase string) string {
	if len(c.Helper) == 0 {
		return ""
	}
	for line := range strings.Lines(string(r.Stderr)) {
		line = strings.TrimSpace(line)
		by, _, _ := strings.Cut(line, " ")
		by = filepath.Base(strings.TrimSuffix(by, ":"))
		own := slices.ContainsFunc(c.Helper, func(h string) bool { return filepath.Base(h) == by })
		if (own || strings.HasPrefix(line, "Sorry, user ")) && strings.Contains(line, phrase) {
			return line
		}
	}
	return ""
}

// brief is the end of what a program wrote to stderr, in one line.
func brief(text string) string {
	if len(text) > maxShown {
		text = "…" + text[len(text)-maxShown:]
	}
	var lines []string
	for line := range strings.Lines(strings.ToValidUTF8(text, "?")) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}
