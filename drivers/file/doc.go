// SPDX-License-Identifier: Apache-2.0

// Package file keeps volumes as sparse files in a directory. It needs neither an
// array nor root, and what it stores survives: it is the driver to begin with,
// to test with, and to use on a single host.
//
//	DIRECTORY/volume-ID      a volume, exactly its size, mode 0600
//	DIRECTORY/snapshot-ID    a snapshot
//	DIRECTORY/.NAME.partial  left by a process that was killed; removed when found
//	DIRECTORY/.provisioned   what the files may grow to, see capacity.go
//
// A file gets its name only when it is whole and on the disk, so a process that
// is killed, or a host that loses power, leaves a whole object or none. Clones
// and snapshots are reflinks where the file system has them (XFS, Btrfs,
// bcachefs, OCFS2; NFS and CIFS where the server can): made at once, sharing
// what is equal. Elsewhere they are sparse copies, and a connected volume can be
// neither cloned nor snapshotted.
//
// A context ends copies and waits within a second. What the kernel does in one
// piece it does not end: to put a file on the disk, to free a large one, to share
// one that is in very many pieces.
//
// Several processes of one host may use a directory together, if they share the
// locks path.
package file
