// SPDX-License-Identifier: Apache-2.0

// Package vmtest tests the library, the driver lvm and the connector iscsi
// together on a real kernel, in the VM of tools/vm. It has tests only; without
// CINDERLIB_VM=1 they are skipped. tools/test-vm.sh runs them.
package vmtest
