// SPDX-License-Identifier: Apache-2.0

// Package drivers is the port to storage arrays: the contract Driver, the
// records it reads, the registry it is found in and the schema of its options.
//
// A driver lives in a folder of its own below this one and is chosen by the
// program that imports it:
//
//	import _ "github.com/gocinder/cinderlib/drivers/file"
//
// Package drivers/all imports every driver, drivers/driverstest proves one.
// docs/writing-a-driver.md goes through the steps.
package drivers
