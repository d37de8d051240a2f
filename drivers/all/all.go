// SPDX-License-Identifier: Apache-2.0

// Package all imports every driver of the library, so that each can be chosen by
// its name. A program that knows which one it uses imports only that.
package all

import (
	_ "github.com/gocinder/cinderlib/drivers/file"      // file
	_ "github.com/gocinder/cinderlib/drivers/lvm"       // lvm
	_ "github.com/gocinder/cinderlib/drivers/rbd"       // rbd
	_ "github.com/gocinder/cinderlib/drivers/solidfire" // solidfire
	_ "github.com/gocinder/cinderlib/drivers/xtremio"   // xtremio-iscsi, xtremio-fc
)
