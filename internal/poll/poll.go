// SPDX-License-Identifier: Apache-2.0

// Package poll waits for what the kernel and its daemons do in their own time.
package poll

import (
	"context"
	"time"
)

// The pauses between two looks.
const (
	first   = 5 * time.Millisecond
	longest = 200 * time.Millisecond
)

// Pause waits for d, or less if ctx ends; then it gives the error of ctx.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Until looks, at growing intervals, until look says done or fails, or limit is
// over: then done is false, and err is that of ctx if that ended. It looks at
// least once.
func Until(ctx context.Context, limit time.Duration, look func() (done bool, err error)) (done bool, err error) {
	over, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for wait := first; ; wait = min(2*wait, longest) {
		if done, err := look(); done || err != nil {
			return done, err
		}
		if Pause(over, wait) != nil {
			return false, ctx.Err()
		}
	}
}
