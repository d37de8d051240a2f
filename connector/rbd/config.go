// SPDX-License-Identifier: Apache-2.0

package rbd

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/gocinder/cinderlib/connector"
)

// key gives the key of the user, from the keyring in the connection data or in its
// file; empty where the cluster asks for none.
func (j *job) key(ctx context.Context) (connector.Secret, error) {
	if j.user == "" {
		return "", nil
	}
	where, text := "keyring", j.data.Keyring.Reveal()
	if text == "" {
		cluster := j.data.ClusterName
		if cluster == "" {
			cluster = "ceph"
		}
		if !isWord(cluster) || strings.Contains(cluster, "/") {
			return "", invalid("cluster_name %q is no name", cluster)
		}
		where = "/etc/ceph/" + cluster + ".client." + j.user + ".keyring"
		data, err := j.host.ReadFile(ctx, where)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "", connector.Errorf(connector.ErrPrecondition, "rbd: the connection data have no keyring, and %s is not there: %w", where, err)
		case err != nil:
			return "", fmt.Errorf("rbd: the connection data have no keyring, and %s cannot be read: %w", where, err)
		}
		text = string(data)
	}
	key := keyOf(text, "client."+j.user)
	if key == "" {
		return "", invalid("%s has no key of client.%s", where, j.user)
	}
	// Anything else would be an option of its own to the kernel.
	if _, err := base64.StdEncoding.DecodeString(key); err != nil {
		return "", invalid("%s has a key of client.%s that is not in base64", where, j.user)
	}
	return connector.Secret(key), nil
}

// keyOf finds the key in a section of a keyring.
func keyOf(keyring, section string) string {
	here := false
	for line := range strings.Lines(keyring) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			here = strings.TrimSpace(strings.Trim(line, "[]")) == section
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		if here && strings.TrimSpace(name) == "key" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// conf is the place of the configuration for rbd-nbd. One a killed process has left
// is found again, and nobody but root can put anything there.
func (j *job) conf() string {
	return fmt.Sprintf("/run/cinderlib-rbd-%.16x.conf", sha256.Sum256([]byte(j.image.lock())))
}

// writeConf makes a file for root's eyes. install(1) makes it with its mode, in the
// place of one that is there; the key goes through a pipe.
func (j *job) writeConf(ctx context.Context, key connector.Secret) error {
	var text strings.Builder
	// [global] is mandatory since Ceph 15.
	fmt.Fprintf(&text, "[global]\nmon_host = %s\nclient_mount_timeout = %.0f\n", monHost(j.mons), j.limits.mount.Seconds())
	if key == "" {
		text.WriteString("auth_client_required = none\n")
	} else {
		fmt.Fprintf(&text, "[client.%s]\nkey = %s\n", j.user, key.Reveal())
	}
	_, err := j.host.Run.Run(ctx, connector.Command{
		Args: []string{"install", "-m", "0600", "-T", "/dev/stdin", j.host.Path(j.conf())}, Stdin: []byte(text.String()), Root: true,
	})
	if err != nil {
		return fmt.Errorf("configuration for rbd-nbd: %w", err)
	}
	return nil
}

// dropConf removes the configuration, if it is there.
func (j *job) dropConf(ctx context.Context) error { return j.unlink(ctx, j.conf()) }

// dropForeignConf removes the one that os-brick has made for the device.
func (j *job) dropForeignConf(ctx context.Context) error {
	if d := j.r.Device; d != nil && path.IsAbs(d.Conf) && strings.HasPrefix(path.Base(d.Conf), "brickrbd_") {
		return j.unlink(ctx, path.Clean(d.Conf))
	}
	return nil
}

func (j *job) unlink(ctx context.Context, file string) error {
	if _, err := os.Lstat(j.host.Path(file)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	files := j.host.Files
	if files == nil {
		files = connector.NewFiles(j.host.Run)
	}
	err := files.Unlink(ctx, j.host.Path(file))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("remove %s: %w", file, err)
}
