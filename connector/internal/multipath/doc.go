// SPDX-License-Identifier: Apache-2.0

// Package multipath talks to multipathd through its socket and finds maps in
// sysfs. A map is known by its UUID, "mpath-" and the WWID of the volume: names
// depend on the host's settings, and dm-N is used again for another map at once.
package multipath
