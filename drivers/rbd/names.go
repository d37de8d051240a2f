// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"regexp"
	"strings"

	"github.com/gocinder/cinderlib/drivers"
)

const (
	volumePrefix = "volume-"
	// linkSuffix is of the snapshot that a clone of a volume stands on, after the
	// clone's name.
	linkSuffix = ".clone_snap"
	// deletedSuffix is of volumes that are deleted, and live on for their clones.
	deletedSuffix = ".deleted"
	// partSuffix is of copies until they are complete.
	partSuffix = ".copying"
)

// backupSnapshot is what Cinder's backups leave on a volume.
var backupSnapshot = regexp.MustCompile(`^backup\.([a-z0-9\-]+?)\.snap\.(.+)$`)

// longestName keeps the names of the objects that librbd makes of an image's,
// with all that is put behind it, below osd_max_object_name_len.
const longestName = 512

func checkName(name string) error {
	if strings.ContainsAny(name, "/@") || len(name) > longestName {
		return drivers.Errorf(drivers.ErrInvalid, "an image cannot have the name %q", name)
	}
	return nil
}

// linkOf names the snapshot that a clone stands on.
func linkOf(clone string) string { return strings.TrimSuffix(clone, deletedSuffix) + linkSuffix }

func isLink(snapshot string) bool { return strings.HasSuffix(snapshot, linkSuffix) }

func isDeleted(image string) bool { return strings.HasSuffix(image, deletedSuffix) }
