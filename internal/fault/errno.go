// SPDX-License-Identifier: Apache-2.0

package fault

import "syscall"

// errno gives the code of a bare system call error.
func errno(err error) (Code, bool) {
	e, ok := err.(syscall.Errno) //nolint:errorlint // the caller walks the tree
	if !ok {
		return OK, false
	}
	switch e {
	case syscall.ENOENT:
		return NotFound, true
	case syscall.EEXIST:
		return AlreadyExists, true
	case syscall.EACCES, syscall.EPERM, syscall.EROFS:
		return PermissionDenied, true
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EFBIG:
		return ResourceExhausted, true
	case syscall.EBUSY, syscall.ENOTEMPTY:
		return FailedPrecondition, true
	case syscall.EINVAL, syscall.ENAMETOOLONG, syscall.ENOTDIR, syscall.EISDIR:
		return InvalidArgument, true
	case syscall.EIO:
		return DataLoss, true
	case syscall.ETIMEDOUT:
		return DeadlineExceeded, true
	case syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EPIPE, syscall.EAGAIN:
		return Unavailable, true
	case syscall.ENOSYS, syscall.EOPNOTSUPP:
		return Unimplemented, true
	}
	return OK, false
}
