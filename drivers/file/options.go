// SPDX-License-Identifier: Apache-2.0

package file

import (
	"fmt"

	"github.com/gocinder/cinderlib/drivers"
)

// Version of the driver, as its statistics give it.
const Version = "1.0.0"

// Options of the driver.
type Options struct {
	drivers.CommonOptions
	Directory string `option:"file_directory" required:"true" help:"directory the volumes live in; it is made (mode 0700) if its parent is there"`
	Attach    string `option:"file_attach" default:"file" choices:"file,loop" help:"what attaching gives: the path of the file, or a loop device on it, which takes root"`
}

// gib gives bytes for a person to read.
func gib[N int64 | float64](bytes N) string {
	return fmt.Sprintf("%.2f GiB", float64(bytes)/drivers.GiB)
}
