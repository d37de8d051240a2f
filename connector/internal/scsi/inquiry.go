// SPDX-License-Identifier: Apache-2.0

package scsi

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"github.com/gocinder/cinderlib/connector"
)

// ErrNoInquiry says that this process cannot ask a disk, or that its answer does
// not tell.
var ErrNoInquiry = errors.New("the disk cannot be asked")

// Still asks a disk whether it is who the kernel has it for: naa. or eui. names
// only. Other than a rescan it leaves what the kernel knows as it is: that a disk
// has become another one can be seen again by the next who looks.
func (d Disk) Still(ctx context.Context, h *connector.Host) (bool, error) {
	if h.Root != "" || !strings.HasPrefix(d.WWID, "naa.") && !strings.HasPrefix(d.WWID, "eui.") {
		return false, ErrNoInquiry
	}
	page := make(chan []byte, 1)
	err := patient(ctx, "inquiry of "+d.Node(), func(context.Context) error {
		data, err := inquire(d.Node())
		page <- data
		return err
	})
	if err != nil {
		return false, err
	}
	names := designators(<-page)
	if len(names) == 0 {
		return false, ErrNoInquiry
	}
	return OneOf(d.WWID, names), nil
}

// Names lists the names that the kernel knows of a disk: the array may have given
// it several, and not all programs choose the same.
func (d Disk) Names(h *connector.Host) []string {
	page, _ := os.ReadFile(h.Path(d.Sys() + "/vpd_pg83"))
	names := designators(page)
	if d.WWID != "" {
		names = append(names, d.WWID)
	}
	return names
}

// sgHeader is struct sg_io_hdr of scsi/sg.h.
type sgHeader struct {
	interfaceID, direction            int32
	commandLen, maxSense              uint8
	iovecs                            uint16
	dataLen                           uint32
	data, command, sense              unsafe.Pointer
	timeout, flags                    uint32
	packID                            int32
	user                              unsafe.Pointer
	status, masked, message, senseLen uint8
	hostStatus, driverStatus          uint16
	residual                          int32
	duration, info                    uint32
}

const (
	sgIO          = 0x2285
	sgFromDevice  = -3
	inquiryLimit  = 10 * time.Second
	inquiryLength = 1024
)

// inquire reads the device identification page (SPC-6, 7.7.6).
func inquire(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, cannot(err)
	}
	defer f.Close() //nolint:errcheck // only read
	command := &[6]byte{0x12, 1, 0x83}
	binary.BigEndian.PutUint16(command[3:], inquiryLength)
	data, sense := make([]byte, inquiryLength), &[32]byte{}
	header := &sgHeader{
		interfaceID: 'S', direction: sgFromDevice, commandLen: uint8(len(command)), maxSense: uint8(len(sense)),
		dataLen: inquiryLength, data: unsafe.Pointer(&data[0]), command: unsafe.Pointer(command), sense: unsafe.Pointer(sense),
		timeout: uint32(inquiryLimit / time.Millisecond),
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	for _, p := range []unsafe.Pointer{header.data, header.command, header.sense} {
		pin.Pin(p)
	}
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), sgIO, uintptr(unsafe.Pointer(header)))
	runtime.KeepAlive(f)
	if errno != 0 {
		return nil, cannot(errno)
	}
	if header.status != 0 || header.hostStatus != 0 || header.driverStatus&^8 != 0 { // 8: there is sense data
		return nil, connector.Errorf(connector.ErrUnavailable, "inquiry of %s: status %#x, of the host %#x, of the driver %#x",
			path, header.status, header.hostStatus, header.driverStatus)
	}
	return data[:inquiryLength-min(max(header.residual, 0), inquiryLength)], nil
}

func cannot(err error) error {
	for _, no := range []syscall.Errno{syscall.EACCES, syscall.EPERM, syscall.ENOTTY, syscall.EINVAL, syscall.ENOSYS, syscall.ENOENT} {
		if errors.Is(err, no) {
			return fmt.Errorf("%w: %w", ErrNoInquiry, err)
		}
	}
	return err
}

// designators lists the NAA and EUI names of the logical unit in that page.
func designators(page []byte) []string {
	if len(page) < 4 || page[1] != 0x83 {
		return nil
	}
	rest := page[4:]
	rest = rest[:min(len(rest), int(binary.BigEndian.Uint16(page[2:])))]
	var names []string
	for len(rest) >= 4 {
		size := int(rest[3])
		if len(rest) < 4+size {
			break
		}
		if ofUnit := rest[1]>>4&3 == 0; ofUnit {
			switch rest[1] & 0xf {
			case 2:
				names = append(names, "eui."+hex.EncodeToString(rest[4:4+size]))
			case 3:
				names = append(names, "naa."+hex.EncodeToString(rest[4:4+size]))
			}
		}
		rest = rest[4+size:]
	}
	return names
}
