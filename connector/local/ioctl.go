// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"github.com/gocinder/cinderlib/internal/fault"
)

// The requests of linux/loop.h; plain numbers, the same on all machines.
const (
	loopSetFD       = 0x4C00
	loopClrFD       = 0x4C01
	loopSetStatus64 = 0x4C04
	loopGetStatus64 = 0x4C05
	loopSetCapacity = 0x4C07
	loopConfigure   = 0x4C0A // Linux 5.8
	loopCtlGetFree  = 0x4C82
)

// The flags of linux/loop.h.
const (
	loFlagsReadOnly  = 1
	loFlagsAutoclear = 4
)

// loopInfo is struct loop_info64 of linux/loop.h.
type loopInfo struct {
	Device, Inode  uint64 // of the backing file
	Rdevice        uint64
	Offset         uint64
	SizeLimit      uint64
	Number         uint32
	EncryptType    uint32
	EncryptKeySize uint32
	Flags          uint32
	FileName       [64]byte
	CryptName      [64]byte
	EncryptKey     [32]byte
	Init           [2]uint64
}

// loopConfig is struct loop_config of linux/loop.h.
type loopConfig struct {
	FD        uint32
	BlockSize uint32
	Info      loopInfo
	Reserved  [8]uint64
}

func (i *loopInfo) name() string {
	text, _, _ := bytes.Cut(i.FileName[:], []byte{0})
	return string(text)
}

// ioctl makes one request; the result, where there is one, is left out.
func ioctl(f *os.File, request, argument uintptr) error {
	_, err := ioctlValue(f, request, argument)
	return err
}

func ioctlValue(f *os.File, request, argument uintptr) (int, error) {
	for {
		n, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, argument)
		runtime.KeepAlive(f)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
			continue
		}
		return 0, errno
	}
}

// status asks for the state of a loop device. ENXIO: it has no backing file.
func status(f *os.File) (*loopInfo, error) {
	info := &loopInfo{}
	err := ioctlInfo(f, loopGetStatus64, info)
	return info, err
}

func ioctlInfo(f *os.File, request uintptr, info *loopInfo) error {
	for {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(info)))
		runtime.KeepAlive(f)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
			continue
		}
		return errno
	}
}

// configure gives a loop device its backing file. EBUSY: it has one.
func configure(f, backing *os.File, info loopInfo) error {
	config := loopConfig{FD: uint32(backing.Fd()), Info: info}
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), loopConfigure, uintptr(unsafe.Pointer(&config)))
	runtime.KeepAlive(f)
	runtime.KeepAlive(backing)
	switch errno {
	case 0:
		return nil
	case syscall.EINVAL, syscall.ENOTTY: // an older kernel does not know it
		return configureInSteps(f, backing, info)
	}
	return errno
}

// configureInSteps is configure before Linux 5.8. A kill between the steps
// leaves a device without a name, which Detach removes too.
func configureInSteps(f, backing *os.File, info loopInfo) error {
	// Read-only is what either file is open for.
	if err := ioctl(f, loopSetFD, backing.Fd()); err != nil {
		return err
	}
	runtime.KeepAlive(backing)
	info.Flags = 0
	if err := ioctlInfo(f, loopSetStatus64, &info); err != nil {
		return fault.Join(err, ioctl(f, loopClrFD, 0))
	}
	return nil
}
