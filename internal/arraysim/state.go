// SPDX-License-Identifier: Apache-2.0

package arraysim

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gocinder/cinderlib/internal/fault"
)

// Save writes an array's state to a file that its owner only can read: it has
// secrets. The file is replaced as a whole; after a fault the old one is there.
func Save(path string, a Array) (err error) {
	text, err := json.MarshalIndent(a, "", "\t")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Load gives an array the state in a file, and tells whether there was one. An
// array that is exposed needs Publish next. It fails with ErrDataLoss for a file
// that holds no state of such an array, which stays as it was then.
func Load(path string, a Array) (bool, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(text, a); err != nil {
		return false, fault.Errorf(fault.ErrDataLoss, "%s: %w", path, err)
	}
	return true, nil
}
