// SPDX-License-Identifier: Apache-2.0

package libtest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gocinder/cinderlib"
)

// QoS is a quality of service in the words of all drivers.
func QoS() map[string]string {
	return map[string]string{"minIOPS": "500", "maxIOPS": "600", "burstIOPS": "700", "total_iops_sec": "600"}
}

// Do does what words say, until one fails. The package's documentation has them.
func (w *World) Do(ctx context.Context, words string) error {
	for word := range strings.FieldsSeq(words) {
		if err := w.one(ctx, word); err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
	}
	return nil
}

func (w *World) one(ctx context.Context, word string) error {
	if word == "?" {
		_, err := w.Backend.RefreshStats(ctx)
		return err
	}
	name, verb, target := word[:1], word[1:], ""
	if n := strings.Index(verb, ">") + 1; n > 0 && n == len(verb)-1 {
		verb, target = verb[:n]+"b", verb[n:]
	}
	if verb == "+" {
		_, err := w.Backend.CreateVolume(ctx, 1, cinderlib.WithName(name))
		return err
	}
	v, err := w.Volume(ctx, name)
	if err != nil {
		return err
	}
	switch verb {
	case "-":
		return v.Delete(ctx)
	case "=":
		_, err = v.Extend(ctx, 2)
	case "*":
		_, err = v.CreateSnapshot(ctx)
	case "%":
		return v.Retype(ctx, cinderlib.WithQoSSpecs(QoS()))
	case "!":
		_, err = v.Connect(ctx, w.Host)
	case ".":
		return first(ctx, v.Connections, func(c *cinderlib.Connection) error { return c.Disconnect(ctx) })
	case "/":
		return first(ctx, v.Snapshots, func(s *cinderlib.Snapshot) error { return s.Delete(ctx) })
	case "<":
		return first(ctx, v.Snapshots, func(s *cinderlib.Snapshot) error { return v.Revert(ctx, s) })
	case "*>b":
		return first(ctx, v.Snapshots, func(s *cinderlib.Snapshot) error {
			_, err := s.CreateVolume(ctx, cinderlib.WithName(target))
			return err
		})
	case ">b":
		_, err = v.Clone(ctx, cinderlib.WithName(target))
	default:
		return errors.New("there is no such word")
	}
	return err
}

// first does something with the oldest of what a volume has.
func first[T any](ctx context.Context, list func(context.Context) ([]T, error), do func(T) error) error {
	all, err := list(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("the volume has none")
	}
	return do(all[0])
}
