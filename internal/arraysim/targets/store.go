// SPDX-License-Identifier: Apache-2.0

package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/fault"
)

// store is a volume in the kernel's hands: a backstore.
type store struct {
	dir   string
	who   identity
	bytes int64 // as the kernel shows it
}

// identity is what hosts know a volume by. The kernel lets none of it be changed
// while a LUN leads to it.
type identity struct {
	company string // of the NAA identifier
	serial  string
	vendor  string
	product string
	block   int // in bytes
}

var naaForm = regexp.MustCompile(`^6[0-9a-f]{31}$`)

// identify derives what LIO makes the NAA identifier of: a 6, the six digits of
// the company, and the first 25 hexadecimal digits that there are in the serial
// (spc_gen_naa_6h_vendor_specific in the kernel). A serial that does not have them
// gives way to them: hosts know a disk by its NAA identifier.
func identify(l arraysim.LUN) (identity, error) {
	naa := strings.ToLower(l.NAA)
	if !naaForm.MatchString(naa) {
		return identity{}, fault.Errorf(errors.ErrUnsupported, "volume %s: NAA identifier %q: LIO has those of 32 digits that begin with 6", l.Volume, l.NAA)
	}
	const company, digits = 7, 32 // where they end
	who := identity{
		company: "0x" + naa[1:company], serial: l.Serial,
		vendor: l.Vendor, product: l.Product, block: l.BlockSize,
	}
	if hexDigits(l.Serial, digits-company) != naa[company:] {
		who.serial = naa[company:]
	}
	switch {
	case len(l.Vendor) > 8 || len(l.Product) > 16 || !printable(l.Vendor+l.Product+l.Serial) || len(l.Serial) > 250:
		return identity{}, fault.Errorf(fault.ErrInvalid, "volume %s: vendor %q, product %q or serial %q: too long, or not printable",
			l.Volume, l.Vendor, l.Product, l.Serial)
	case l.BlockSize != 512 && l.BlockSize != 1024 && l.BlockSize != 2048 && l.BlockSize != 4096:
		return identity{}, fault.Errorf(fault.ErrInvalid, "volume %s: blocks of %d bytes", l.Volume, l.BlockSize)
	case l.Bytes < int64(l.BlockSize):
		return identity{}, fault.Errorf(fault.ErrInvalid, "volume %s: %d bytes", l.Volume, l.Bytes)
	}
	return who, nil
}

// hexDigits gives the first n hexadecimal digits of s, in lower case, and zeros
// where there are fewer.
func hexDigits(s string, n int) string {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune("0123456789abcdef", r) {
			return r
		}
		return -1
	}, strings.ToLower(s))
	return (digits + strings.Repeat("0", n))[:n]
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// openStore makes the backstore of a volume, or sees to the size of the one there
// is.
func (p *Plane) openStore(ctx context.Context, l arraysim.LUN) error {
	info, err := os.Stat(p.file(l.Volume))
	if err != nil {
		return err
	}
	if info.Size() < l.Bytes {
		return fault.Errorf(fault.ErrInvalid, "volume %s has %d bytes, %d are to be shown", l.Volume, info.Size(), l.Bytes)
	}
	if s := p.stores[l.Volume]; s != nil {
		return s.resize(ctx, l.Bytes)
	}
	who, err := identify(l)
	if err != nil {
		return err
	}
	if p.adapter == "" {
		if p.adapter, err = p.makeAdapter(ctx); err != nil {
			return err
		}
	}
	s := &store{dir: p.adapter + "/" + l.Volume, who: who, bytes: l.Bytes}
	if err := kernel.Mkdir(ctx, s.dir); err != nil {
		return err
	}
	if err := s.fill(ctx, p.file(l.Volume)); err != nil {
		return fault.Join(err, drop(ctx, s.dir))
	}
	p.stores[l.Volume] = s
	return nil
}

// fill: without fd_buffered_io every write would be a synchronous one. The size of
// the blocks, and who it is, go before the first LUN. Discarded blocks are holes of
// the file, and so of zeros.
func (s *store) fill(ctx context.Context, file string) error {
	pairs := []string{
		"control", "fd_dev_name=" + file + ",fd_dev_size=" + strconv.FormatInt(s.bytes, 10) + ",fd_buffered_io=1",
		"udev_path", file,
		"enable", "1",
		"attrib/block_size", strconv.Itoa(s.who.block),
		"wwn/company_id", s.who.company,
		"wwn/vpd_unit_serial", s.who.serial,
		"wwn/vendor_id", s.who.vendor,
		"wwn/product_id", s.who.product,
		"attrib/emulate_tpu", "1",
		"attrib/emulate_tpws", "1",
		"attrib/unmap_zeroes_data", "1",
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" { // the kernel's own
			continue
		}
		if err := put(ctx, s.dir+"/"+pairs[i], pairs[i+1]); err != nil {
			return fmt.Errorf("%q: %w", pairs[i+1], err)
		}
	}
	return nil
}

// resize changes what hosts see. Nil is a volume that none sees.
func (s *store) resize(ctx context.Context, bytes int64) error {
	if s == nil || s.bytes == bytes {
		return nil
	}
	if err := put(ctx, s.dir+"/control", "fd_dev_size="+strconv.FormatInt(bytes, 10)); err != nil {
		return err
	}
	s.bytes = bytes
	return nil
}

// closeStore removes a backstore that no LUN leads to.
func (p *Plane) closeStore(ctx context.Context, id string) error {
	if err := drop(ctx, p.stores[id].dir); err != nil {
		return err
	}
	delete(p.stores, id)
	return nil
}

// makeAdapter takes the first free number.
func (p *Plane) makeAdapter(ctx context.Context) (string, error) {
	loaded := false
	for n := 0; ; n++ {
		dir := coreDir + "/fileio_" + strconv.Itoa(n)
		err := kernel.Mkdir(ctx, dir)
		if err != nil && !errors.Is(err, fs.ErrExist) && !loaded {
			if loading := p.load(ctx, "target_core_file"); loading != nil {
				return "", fault.Join(loading, err)
			}
			loaded = true
			err = kernel.Mkdir(ctx, dir)
		}
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
	}
}
