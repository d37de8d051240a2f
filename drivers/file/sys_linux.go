// SPDX-License-Identifier: Apache-2.0

package file

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

// Constants that package syscall does not have.
const (
	tmpFile       = 0o20000000 | syscall.O_DIRECTORY // O_TMPFILE, asm-generic/fcntl.h
	atCwd         = -0x64                            // AT_FDCWD, linux/fcntl.h
	followSymlink = 0x400                            // AT_SYMLINK_FOLLOW, linux/fcntl.h
	rwx           = 4 | 2 | 1                        // R_OK, W_OK, X_OK, unistd.h
	blockSize     = 512                              // of st_blocks, stat(2)
)

// ficlone is FICLONE of linux/fs.h, _IOW(0x94, 9, int): who writes is 1, but 4
// on the architectures whose asm/ioctl.h comes from elsewhere.
func ficlone() uintptr {
	write := uintptr(1) << 30
	if strings.HasPrefix(runtime.GOARCH, "mips") || strings.HasPrefix(runtime.GOARCH, "ppc64") {
		write = 4 << 29
	}
	return write | 4<<16 | 0x94<<8 | 9
}

// reflink makes the content of dst that of src, of which no byte is copied. It
// is atomic: a write to src is in dst whole or not at all.
func reflink(dst, src *os.File) error {
	for {
		_, _, e := syscall.Syscall(syscall.SYS_IOCTL, dst.Fd(), ficlone(), src.Fd())
		runtime.KeepAlive(src)
		runtime.KeepAlive(dst)
		if e == 0 {
			return nil
		}
		if e != syscall.EINTR {
			return os.NewSyscallError("reflink", e)
		}
	}
}

// procPath is a path of an open file, whether it has a name or not.
func procPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// link gives the file that a path of procPath stands for a name.
func link(open, path string) error {
	from, err := syscall.BytePtrFromString(open)
	if err != nil {
		return err
	}
	to, err := syscall.BytePtrFromString(path)
	if err != nil {
		return err
	}
	cwd := atCwd
	_, _, e := syscall.Syscall6(syscall.SYS_LINKAT, uintptr(cwd), uintptr(unsafe.Pointer(from)),
		uintptr(cwd), uintptr(unsafe.Pointer(to)), followSymlink, 0)
	if e != 0 {
		return &os.LinkError{Op: "link", Old: open, New: path, Err: e}
	}
	return nil
}

// statfs asks a file system how large it is. What it keeps for root does not
// count as free.
func statfs(dir string) (space, error) {
	var s syscall.Statfs_t
	for {
		err := syscall.Statfs(dir, &s)
		if err == nil {
			break
		}
		if err != syscall.EINTR {
			return space{}, os.NewSyscallError("statfs", err)
		}
	}
	unit := float64(s.Frsize)
	if unit == 0 {
		unit = float64(s.Bsize)
	}
	return space{total: float64(s.Blocks) * unit, free: float64(s.Bavail) * unit}, nil
}

// occupied is what a file takes on the disk, in bytes.
func occupied(info os.FileInfo) int64 {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size()
	}
	return s.Blocks * blockSize
}

// bootID tells one boot of the host from another.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
