// SPDX-License-Identifier: Apache-2.0

package scsi

import "github.com/gocinder/cinderlib/connector"

// flat is the flag of flat space addressing (SAM-3, 4.9.7) in a LUN as the
// kernel counts it.
const flat = 16384

// LUN gives the number that the kernel has for a LUN of a request, by the
// addressing modes of os-brick. An empty mode is SAM.
func LUN(mode string, lun int) (int, error) {
	if lun < 0 {
		return 0, connector.Errorf(connector.ErrInvalid, "LUN %d", lun)
	}
	switch mode {
	case "", "SAM", "transparent":
		return lun, nil
	case "SAM2":
		if lun < 256 {
			return lun, nil
		}
		return lun + flat, nil
	case "SAM3-flat":
		return lun + flat, nil
	}
	return 0, connector.Errorf(connector.ErrInvalid, "addressing_mode %q: want SAM, transparent, SAM2 or SAM3-flat", mode)
}
