// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"maps"
)

// blockSize is that in which data is kept and shared, whatever the size of an
// image's objects.
const blockSize = 64 << 10

// state is what an image holds, now or at a snapshot.
type state struct {
	bytes   int64
	blocks  map[int64][]byte // never changed in place, so that states share them
	link    *link            // nil: it is no clone
	overlap int64            // how far the parent is read where there is no block
}

// link is a clone's on its parent.
type link struct {
	parent *image
	snap   *snapshot
	v2     bool
}

func (s *state) copy() state {
	c := *s
	c.blocks = maps.Clone(s.blocks)
	return c
}

// block gives block n; nil if it reads as zeros.
func (s *state) block(n int64) []byte {
	if b, ok := s.blocks[n]; ok {
		return b
	}
	if s.link == nil || n*blockSize >= s.overlap {
		return nil
	}
	return upTo(s.link.snap.block(n), s.overlap-n*blockSize)
}

// upTo gives a block that is zero from end on.
func upTo(b []byte, end int64) []byte {
	if b == nil || end >= blockSize {
		return b
	}
	cut := make([]byte, blockSize)
	copy(cut, b[:end])
	return cut
}

// each calls f for the parts of the blocks in which p lies, at offset at.
func each(p []byte, at int64, f func(n, from int64, part []byte)) {
	for len(p) > 0 {
		from := at % blockSize
		part := p[:min(int64(len(p)), blockSize-from)]
		f(at/blockSize, from, part)
		p, at = p[len(part):], at+int64(len(part))
	}
}

func (s *state) read(p []byte, at int64) {
	each(p, at, func(n, from int64, part []byte) {
		if b := s.block(n); b != nil {
			copy(part, b[from:])
		} else {
			clear(part)
		}
	})
}

func (s *state) write(p []byte, at int64) {
	each(p, at, func(n, from int64, part []byte) {
		b := make([]byte, blockSize)
		if len(part) < blockSize {
			copy(b, s.block(n))
		}
		copy(b[from:], part)
		s.blocks[n] = b
	})
}

// resize drops what is cut off: it reads as zeros when the image grows again.
func (s *state) resize(bytes int64) {
	maps.DeleteFunc(s.blocks, func(n int64, _ []byte) bool { return n*blockSize >= bytes })
	last := bytes / blockSize
	if b, ok := s.blocks[last]; ok {
		s.blocks[last] = upTo(b, bytes-last*blockSize)
	}
	s.overlap = min(s.overlap, bytes)
	s.bytes = bytes
}

// fill takes over what is read from the parent, beginning with block first.
func (s *state) fill(first int64) {
	for n := first; n*blockSize < s.overlap; n++ {
		if b := s.block(n); b != nil {
			s.blocks[n] = b
		}
	}
}

// cut takes over all of the parent and forgets it.
func (s *state) cut() {
	s.fill(0)
	s.link, s.overlap = nil, 0
}

// rollBack takes over a snapshot's content and size. Measured: the overlap with
// the parent stays what it was; what a snapshot has beyond it is copied.
func (s *state) rollBack(to *state) {
	s.resize(to.bytes)
	whole := to.copy()
	if s.link != nil {
		whole.fill(s.overlap / blockSize)
	} else {
		whole.fill(0)
	}
	s.bytes, s.blocks = whole.bytes, whole.blocks
}
