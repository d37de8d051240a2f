// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"slices"
	"strings"
)

// SameWWID tells whether two identities name one device, whatever the notation:
// that of sysfs (naa.6…, eui.…, t10.…), that of udev and multipath, which put a
// type digit in the place of the prefix (36…), or bare.
func SameWWID(a, b string) bool {
	forms := wwidForms(b)
	return slices.ContainsFunc(wwidForms(a), func(f string) bool { return slices.Contains(forms, f) })
}

// wwidForms gives the bare identities that a WWID may stand for. One without a
// prefix may begin with a type digit or not; taken both ways, two that differ
// do not meet, because their lengths are fixed.
func wwidForms(wwid string) []string {
	id := strings.ToLower(strings.TrimSpace(wwid))
	// udev makes one _ of any spaces that a t10 name has.
	id = strings.Join(strings.FieldsFunc(id, func(r rune) bool { return r == ' ' || r == '_' }), "_")
	for _, prefix := range []string{"naa.", "eui.", "t10.", "uuid.", "nvme.", "0x"} {
		if bare, ok := strings.CutPrefix(id, prefix); ok {
			return []string{bare}
		}
	}
	if id == "" {
		return nil
	}
	// The digits: 1 t10, 2 eui, 3 naa, 8 a name of another kind (scsi_id(8)).
	if len(id) > 1 && strings.ContainsRune("1238", rune(id[0])) {
		return []string{id, id[1:]}
	}
	return []string{id}
}
