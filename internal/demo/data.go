// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/gocinder/cinderlib"
)

// amount is how much is written: at the beginning of a volume.
const amount = 1 << 20

// digestKey is the metadata of a volume that tells what its data must be.
const digestKey = "sha256"

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func about(data []byte) string {
	return fmt.Sprintf("%d bytes, SHA-256 %.16s…", len(data), digest(data))
}

// expect notes in the metadata of a volume what its data must be.
func expect(data []byte) cinderlib.LabelOption {
	return cinderlib.WithMetadata(map[string]string{digestKey: digest(data)})
}

// fill writes new data to a device.
func fill(path string) ([]byte, error) {
	data := make([]byte, amount)
	if _, err := rand.Read(data); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(data)
	return data, errors.Join(err, f.Sync(), f.Close())
}

// compare reads a device and compares it with what it must have.
func compare(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written through it
	data := make([]byte, amount)
	if _, err := io.ReadFull(f, data); err != nil {
		return err
	}
	if got := digest(data); got != want {
		return fmt.Errorf("%s has data with the SHA-256 %s, not %s", path, got, want)
	}
	return nil
}

// attached calls use with the path of a volume while it is attached here.
func attached(ctx context.Context, v *cinderlib.Volume, use func(path string) error) error {
	connection, err := v.Attach(ctx)
	if err != nil {
		return err
	}
	return errors.Join(use(connection.Path()), v.Detach(ctx))
}
