// SPDX-License-Identifier: Apache-2.0

package scsi

// Designators is designators, for tests.
var Designators = designators
