// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"net/netip"
	"path"
	"regexp"
	"strings"

	"github.com/gocinder/cinderlib/internal/fault"
)

// The limits of the kernel's buffers.
const (
	maxIQN    = 223
	maxPath   = 511
	maxSerial = 254
	maxCHAP   = 255
)

const wwnDigits = 25

// WWN is the name of the disk that initiators see, as sysfs has it in
// device/wwid, of an export with that serial: naa.6001405 and the first 25 hex
// digits of the serial. udev and multipath put a 3 for the "naa.".
func WWN(serial string) string {
	digits := make([]byte, 0, wwnDigits)
	for i := 0; i < len(serial) && len(digits) < wwnDigits; i++ {
		switch c := serial[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f':
			digits = append(digits, c)
		case 'A' <= c && c <= 'F':
			digits = append(digits, c-'A'+'a')
		}
	}
	return "naa.6001405" + string(digits) + strings.Repeat("0", wwnDigits-len(digits))
}

var (
	// What rtslib takes, less what does not survive it or the kernel: capitals,
	// which both fold, and characters of its path patterns.
	iqnForm = regexp.MustCompile(`^iqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[a-z0-9.:-]*\.[a-z0-9.:-]*$`)
	eui     = regexp.MustCompile(`^eui\.[0-9a-f]{16}$`)
	naa     = regexp.MustCompile(`^naa\.[125][0-9a-f]{15}$`)
)

// CheckIQN refuses the name of a target that the kernel or rtslib, and with it
// targetcli, would not take or not find again. It is fault.ErrInvalid.
func CheckIQN(iqn string) error {
	if len(iqn) > maxIQN {
		return fault.Errorf(fault.ErrInvalid, "target name %q is longer than %d bytes", iqn, maxIQN)
	}
	if !iqnForm.MatchString(iqn) && !eui.MatchString(iqn) && !naa.MatchString(iqn) {
		return fault.Errorf(fault.ErrInvalid, "target name %q: want iqn.YYYY-MM.domain.reversed:name in a-z, 0-9, '.', ':' and '-'", iqn)
	}
	return nil
}

// check refuses what cannot work, and puts the portals in the form in which they
// are compared.
func (e *Export) check() error {
	if err := CheckIQN(e.IQN); err != nil {
		return err
	}
	switch {
	case !path.IsAbs(e.Device) || len(e.Device) > maxPath || strings.ContainsAny(e.Device, ",\n\x00"):
		return fault.Errorf(fault.ErrInvalid, "device %q: want an absolute path of at most %d bytes without commas and newlines", e.Device, maxPath)
	case e.Serial == "" || len(e.Serial) > maxSerial || !printable(e.Serial) || e.Serial != strings.TrimSpace(e.Serial):
		return fault.Errorf(fault.ErrInvalid, "serial %q: want 1 to %d printable characters", e.Serial, maxSerial)
	case len(e.Portals) == 0:
		return fault.Errorf(fault.ErrInvalid, "no portals")
	}
	portals := make([]netip.AddrPort, 0, len(e.Portals))
	seen := map[netip.AddrPort]bool{}
	for _, p := range e.Portals {
		if !p.IsValid() || p.Port() == 0 {
			return fault.Errorf(fault.ErrInvalid, "portal %s: want an address and a port", p)
		}
		if p = plain(p); !seen[p] {
			seen[p] = true
			portals = append(portals, p)
		}
	}
	e.Portals = portals
	return nil
}

// check refuses what cannot work, and puts the name in the form in which the
// kernel compares it.
func (i *Initiator) check() error {
	name, err := initiatorName(i.IQN)
	if err != nil {
		return err
	}
	i.IQN = name
	if err := checkCHAP("user", i.User); err != nil {
		return err
	}
	return checkCHAP("password", i.Password.Reveal())
}

func initiatorName(name string) (string, error) {
	if name == "" || len(name) > maxIQN || !printable(name) || strings.ContainsAny(name, " /") || strings.Trim(name, ".") == "" {
		return "", fault.Errorf(fault.ErrInvalid, "initiator name %q: want 1 to %d printable characters without spaces and slashes", name, maxIQN)
	}
	return strings.ToLower(name), nil
}

// checkCHAP does not show the value. To the kernel all that begins with NULL is
// no value.
func checkCHAP(what, value string) error {
	if value == "" || len(value) > maxCHAP || !printable(value) || strings.HasPrefix(value, "NULL") {
		return fault.Errorf(fault.ErrInvalid, "CHAP %s: want 1 to %d printable characters that do not begin with NULL", what, maxCHAP)
	}
	return nil
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// plain writes an address one way only: no IPv4 inside of IPv6.
func plain(p netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
