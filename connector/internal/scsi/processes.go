// SPDX-License-Identifier: Apache-2.0

package scsi

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gocinder/cinderlib/connector"
)

// Process is one of the host's processes.
type Process struct {
	ID      string // its number
	Program string // the file it runs, without the folder; empty if that is not for us to know
}

// Processes lists what runs on the host. Of a thread of the kernel, or a process
// that has ended, there is no program, and so nothing to look for: one system call
// for each is all that they take.
func Processes(h *connector.Host) []Process {
	entries, _ := os.ReadDir(h.Path("/proc"))
	var list []Process
	for _, e := range entries {
		if c := e.Name()[0]; c < '0' || c > '9' {
			continue
		}
		p := Process{ID: e.Name()}
		switch file, err := os.Readlink(h.Path("/proc/" + p.ID + "/exe")); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil: // proc_pid_exe(5): deleted is one that was replaced while it runs
			p.Program = strings.TrimSuffix(filepath.Base(file), " (deleted)")
		}
		list = append(list, p)
	}
	return list
}
