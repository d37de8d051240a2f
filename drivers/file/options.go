// SPDX-License-Identifier: Apache-2.0

package file

import (
	"fmt"
	"math"
	"strconv"

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

// autoRatio stands for max_over_subscription_ratio = auto, which Cinder computes
// from what is provisioned and falls back to 20 for where nothing is.
const autoRatio = 20.0

// overSubscription reads max_over_subscription_ratio.
func overSubscription(text string) (float64, error) {
	if text == "auto" {
		return autoRatio, nil
	}
	r, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(r) || math.IsInf(r, 0) || r < 1 {
		return 0, drivers.Errorf(drivers.ErrInvalid, "max_over_subscription_ratio %q is neither auto nor a number of at least 1", text)
	}
	return r, nil
}

// gib gives bytes for a person to read.
func gib[N int64 | float64](bytes N) string {
	return fmt.Sprintf("%.2f GiB", float64(bytes)/drivers.GiB)
}
