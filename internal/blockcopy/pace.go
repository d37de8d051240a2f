// SPDX-License-Identifier: Apache-2.0

package blockcopy

import (
	"context"
	"time"
)

// credit is how much of the time that a copy lost it may make up for, so that
// one slow write is evened out and an hour's standstill is no licence to flood.
const credit = 100 * time.Millisecond

// pacer is a token bucket that counts in time: due is when the next byte may
// go. The zero pacer has no limit.
type pacer struct {
	rate int64 // bytes a second
	due  time.Time
}

func newPacer(rate int64) pacer { return pacer{rate: rate, due: time.Now()} }

// piece is how much to do at once, at most most bytes: a tenth of a second's
// worth in whole pages, so that the speed is even and a cancel is not late.
func (p *pacer) piece(most int64) int64 {
	if p.rate == 0 {
		return most
	}
	const page = 4096
	return min(most, max(page, p.rate/10/page*page))
}

// wait waits until n more bytes may go, or ctx ends.
func (p *pacer) wait(ctx context.Context, n int64) error {
	if p.rate == 0 {
		return ctx.Err()
	}
	now := time.Now()
	if earliest := now.Add(-credit); p.due.Before(earliest) {
		p.due = earliest
	}
	pause := p.due.Sub(now)
	p.due = p.due.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	if pause <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
