// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/internal/command"
)

// NewRunner makes the Runner of this host. helper is the program, perhaps with
// arguments, that runs a command with root's rights: "sudo", or
// "sudo cinder-rootwrap /etc/cinder/rootwrap.conf". It is used for commands that
// ask for Root while the process is not root; empty, they run without. sudo is
// always told not to ask for a password. log may be nil.
//
// A command runs without a shell, in a process group of its own. When the
// context ends, the group gets SIGTERM and half a second later SIGKILL, and the
// error wraps both ctx.Err() and the *exec.ExitError. An exit code that is
// neither 0 nor in OK is an error; the Result holds it too. A missing program
// wraps exec.ErrNotFound and is no ErrNotFound, which could be taken for an
// answer of the program. A helper that refuses is ErrPermission. Neither errors
// nor the log show what Command.Secret marks.
func NewRunner(helper string, log *slog.Logger) Runner {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &runner{log: log}
	if os.Geteuid() != 0 {
		r.helper = helperWords(helper)
	}
	return r
}

type runner struct {
	helper []string
	log    *slog.Logger
}

// helperWords splits a root helper. sudo would ask for a password on the
// terminal of the program, and wait for it.
func helperWords(helper string) []string {
	words := strings.Fields(helper)
	if len(words) > 0 && filepath.Base(words[0]) == "sudo" && !slices.Contains(words, "-n") {
		words = slices.Insert(words, 1, "-n")
	}
	return words
}

// Run implements Runner.
func (r *runner) Run(ctx context.Context, c Command) (Result, error) {
	run := command.Command{Args: c.Args, Secret: c.Secret, Stdin: c.Stdin, Env: c.Env, OK: c.OK}
	if c.Root {
		run.Helper = r.helper
	}
	start := time.Now()
	result, err := command.Run(ctx, run)
	if r.log.Enabled(ctx, slog.LevelDebug) {
		attrs := []slog.Attr{
			slog.String("command", run.String()), slog.Int("code", result.Code), slog.Duration("took", time.Since(start)),
		}
		if err != nil {
			attrs = append(attrs, slog.Any("error", err))
		}
		r.log.LogAttrs(ctx, slog.LevelDebug, "ran command", attrs...)
	}
	return Result(result), err
}
