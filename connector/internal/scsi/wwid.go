// SPDX-License-Identifier: Apache-2.0

package scsi

import (
	"slices"
	"strings"

	"github.com/gocinder/cinderlib/connector"
)

// UdevWWID gives a WWID of sysfs as udev and multipath write it: a digit for the
// kind of name in the place of the prefix (scsi_id(8)).
func UdevWWID(wwid string) string {
	wwid = strings.TrimSpace(wwid)
	for _, kind := range []struct{ prefix, digit string }{{"naa.", "3"}, {"eui.", "2"}, {"t10.", "1"}} {
		if rest, ok := strings.CutPrefix(wwid, kind.prefix); ok {
			// A name of kind t10 is text: udev makes one _ of any spaces.
			return kind.digit + strings.Join(strings.Fields(rest), "_")
		}
	}
	if len(wwid) < 4 {
		return ""
	}
	return "8" + strings.Join(strings.Fields(wwid[4:]), "_")
}

// OneOf tells whether a WWID is one of some, in whatever notation.
func OneOf(wwid string, of []string) bool {
	return wwid != "" && slices.ContainsFunc(of, func(w string) bool { return connector.SameWWID(w, wwid) })
}
