// SPDX-License-Identifier: Apache-2.0

// Package blockcopy copies the content of files and block devices inside the
// process: sparse, cancellable, at a limited speed, with a progress report.
//
// What a sparse file does not hold is not read: its holes are asked for. What
// reads as zeros is not written where the target is known to be empty, and is
// discarded rather than written, where the target can, otherwise.
package blockcopy
