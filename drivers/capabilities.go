// SPDX-License-Identifier: Apache-2.0

package drivers

// Capabilities tells what a driver can do beyond what every driver does.
type Capabilities struct {
	Revert bool // Reverter
	Retype bool // Retyper
	Manage bool // Manager
}

// CapabilitiesOf finds the optional interfaces of d.
func CapabilitiesOf(d Driver) Capabilities {
	var c Capabilities
	_, c.Revert = d.(Reverter)
	_, c.Retype = d.(Retyper)
	_, c.Manage = d.(Manager)
	return c
}
