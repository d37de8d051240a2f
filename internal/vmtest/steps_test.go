// SPDX-License-Identifier: Apache-2.0

package vmtest

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/connector"
)

// steps stands between the library and the host: it counts programs and changes
// of the kernel's files, and has one of them go wrong.
type steps struct {
	run   connector.Runner
	files connector.Files

	mu       sync.Mutex
	n        int // since reset
	at       int // the step that goes wrong, from 1; 0 is none
	after    bool
	wrong    func() error
	programs []string
	writes   int
	spent    time.Duration // in programs and files
}

func newSteps() *steps {
	run := connector.NewRunner("sudo", nil)
	return &steps{run: run, files: connector.NewFiles(run)}
}

// reset begins to count anew; nothing goes wrong.
func (s *steps) reset() { s.plan(0, false, nil) }

// plan has a step go wrong, before or after it is done.
func (s *steps) plan(at int, after bool, wrong func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.at, s.after, s.wrong = 0, at, after, wrong
	s.programs, s.writes, s.spent = nil, 0, 0
}

func (s *steps) counted() (steps int, programs []string, writes int, spent time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n, s.programs, s.writes, s.spent
}

func (s *steps) do(program string, act func() error) error {
	s.mu.Lock()
	s.n++
	hit, after, wrong := s.n == s.at, s.after, s.wrong
	if program != "" {
		s.programs = append(s.programs, program)
	} else {
		s.writes++
	}
	s.mu.Unlock()
	if hit && !after {
		return wrong()
	}
	start := time.Now()
	err := act()
	s.mu.Lock()
	s.spent += time.Since(start)
	s.mu.Unlock()
	if hit {
		return wrong()
	}
	return err
}

// Run implements connector.Runner.
func (s *steps) Run(ctx context.Context, c connector.Command) (r connector.Result, err error) {
	r.Code = -1
	err = s.do(brief(c.Args), func() (err error) {
		r, err = s.run.Run(ctx, c)
		return err
	})
	return r, err
}

// brief is what a test shows of a program.
func brief(args []string) string {
	words := []string{filepath.Base(args[0])}
	for i, a := range args {
		switch a {
		case "--op":
			words = append(words, args[i+1])
		case "--login", "--logout":
			words = append(words, a)
		}
	}
	return strings.Join(words, " ")
}

// Read implements connector.Files.
func (s *steps) Read(ctx context.Context, path string) ([]byte, error) {
	return s.files.Read(ctx, path)
}

// Write implements connector.Files.
func (s *steps) Write(ctx context.Context, path string, data []byte) error {
	return s.do("", func() error { return s.files.Write(ctx, path, data) })
}

// Mkdir implements connector.Files.
func (s *steps) Mkdir(ctx context.Context, path string) error {
	return s.do("", func() error { return s.files.Mkdir(ctx, path) })
}

// Rmdir implements connector.Files.
func (s *steps) Rmdir(ctx context.Context, path string) error {
	return s.do("", func() error { return s.files.Rmdir(ctx, path) })
}

// Symlink implements connector.Files.
func (s *steps) Symlink(ctx context.Context, target, path string) error {
	return s.do("", func() error { return s.files.Symlink(ctx, target, path) })
}

// Unlink implements connector.Files.
func (s *steps) Unlink(ctx context.Context, path string) error {
	return s.do("", func() error { return s.files.Unlink(ctx, path) })
}

var errInjected = fmt.Errorf("injected fault")
