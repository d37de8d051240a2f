// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/connector/internal/scsi"
	"github.com/gocinder/cinderlib/internal/poll"
)

// awaitOrphans waits for programs that a process which was killed has left running:
// their device would come after all was cleaned up. A process that maps without a
// program keeps its lock until the kernel is done with it.
func (j *job) awaitOrphans(ctx context.Context) error {
	_, err := poll.Until(ctx, j.limits.orphan, func() (bool, error) {
		return !slices.ContainsFunc(scsi.Processes(j.host), func(p scsi.Process) bool { return j.isOrphan(p.ID) }), nil
	})
	return err
}

func (j *job) isOrphan(pid string) bool {
	words := j.words(pid)
	// Nobody else runs an rbd-nbd for the image while that is locked.
	return j.isOurs(words) && !j.serves(pid, j.served()) || j.maps(words) && j.isLost(pid)
}

// maps tells whether a program is the tee that tells the kernel to map an image, or
// the root helper before it. Which image it is does not show.
func (j *job) maps(words []string) bool {
	if !slices.Contains(words, "tee") {
		return false
	}
	attribute := j.attribute("add")
	return attribute != "" && slices.Contains(words, j.host.Path(attribute))
}

// isLost tells whether the process that has started a program is gone: the first
// process of the host, or of its user, has it then.
func (j *job) isLost(pid string) bool {
	for {
		// proc_pid_stat(5): the parent is the second word behind the name.
		stat := scsi.Attr(j.host, "/proc/"+pid+"/stat")
		field := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
		if len(field) < 2 {
			return false
		}
		pid = field[1]
		if !j.maps(j.words(pid)) {
			return pid == "1" || scsi.Attr(j.host, "/proc/"+pid+"/comm") == "systemd"
		}
	}
}
