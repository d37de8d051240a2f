// SPDX-License-Identifier: Apache-2.0

// Package command runs programs. Nothing else in the library does.
//
// A program runs without a shell, in a process group of its own, with messages
// in English. When the context ends, the whole group is asked to end and then
// made to: neither a child that ignores SIGTERM nor a grandchild that holds the
// output open keeps the caller waiting.
package command

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/secret"
)

// Command is a program to run.
type Command struct {
	Args   []string // the program and its arguments
	Secret []int    // positions in Args that no log and no error shows
	Stdin  []byte
	Env    []string // variables beside those of this process
	// Helper is the program, with its arguments, that runs Args with root's
	// rights; none for a process that has them.
	Helper []string
	OK     []int // exit codes, beside 0, that are no error
}

// String is the command line with secrets masked.
func (c *Command) String() string {
	words := make([]string, 0, len(c.Args))
	for i, a := range c.Args {
		switch {
		case slices.Contains(c.Secret, i):
			a = secret.Mask
		case a == "" || strings.ContainsAny(a, " \t\n\"'\\"):
			a = strconv.Quote(a)
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// hide masks the secrets of c in a text that a program wrote.
func (c *Command) hide(text string) string {
	for _, i := range c.Secret {
		if i < len(c.Args) && c.Args[i] != "" {
			text = strings.ReplaceAll(text, c.Args[i], secret.Mask)
		}
	}
	return text
}

// Result is what a program left.
type Result struct {
	Stdout, Stderr []byte
	Code           int // -1 if it did not exit by itself
}

// Error is a program that ran and failed, or was stopped. Unwrap has the
// context's error, if that ended it, and the *exec.ExitError.
type Error struct {
	Command string // with secrets masked
	Result  Result // the end of Stderr only, with secrets masked
	causes  []error
}

// Error says which command failed, how, and what it wrote about it.
func (e *Error) Error() string {
	parts := []string{e.Command}
	for _, c := range e.causes {
		parts = append(parts, c.Error())
	}
	if len(e.Result.Stderr) > 0 {
		parts = append(parts, string(e.Result.Stderr))
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the causes.
func (e *Error) Unwrap() []error { return e.causes }
