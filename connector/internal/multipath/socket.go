// SPDX-License-Identifier: Apache-2.0

package multipath

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gocinder/cinderlib/connector"
)

// Where multipathd listens (multipath-tools, libmpathcmd/mpath_cmd.h): always on
// the first, newer ones on the second too, which containers can share.
const (
	abstractSocket = "@/org/kernel/linux/storage/multipathd"
	socketFile     = "/run/multipathd.socket"
)

const (
	// replyWait is how long multipathd may take for a command: it does one at a
	// time, behind the checks of all paths. Its own tools wait 4 s, too little on a
	// host with dead paths.
	replyWait = 20 * time.Second
	maxReply  = 32 << 20 // as libmpathcmd has it
	sizeBytes = bits.UintSize / 8
)

// errNoDaemon: nobody listens.
var errNoDaemon = errors.New("multipathd is not running")

// ask sends one command and gives the reply without its last newline.
func ask(ctx context.Context, h *connector.Host, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, replyWait)
	defer cancel()
	conn, err := dial(ctx, h)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // what counts is the reply
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	reply, err := talk(conn, command)
	if ctx.Err() != nil && err != nil {
		err = ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("multipathd: %s: %w", command, err)
	}
	return reply, nil
}

func dial(ctx context.Context, h *connector.Host) (net.Conn, error) {
	sockets := []string{abstractSocket, h.Path(socketFile)}
	if h.Root != "" { // the abstract one is that of another host
		sockets = sockets[1:]
	}
	if name := os.Getenv("MULTIPATH_SOCKET_NAME"); name != "" && h.Root == "" {
		sockets = []string{name}
	}
	for _, socket := range sockets {
		conn, err := dialUnix(ctx, socket)
		switch {
		case err == nil:
			return conn, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("multipathd: %w", ctx.Err())
		case !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT):
			return nil, fmt.Errorf("multipathd: %w", err)
		}
	}
	return nil, errNoDaemon
}

// dialUnix goes through the folder where a path is too long for an address.
func dialUnix(ctx context.Context, socket string) (net.Conn, error) {
	if len(socket) > 107 { // sun_path, unix(7)
		folder, err := os.Open(filepath.Dir(socket))
		if err != nil {
			return nil, err
		}
		defer folder.Close() //nolint:errcheck // only a way to the socket
		socket = "/proc/self/fd/" + strconv.Itoa(int(folder.Fd())) + "/" + filepath.Base(socket)
	}
	return new(net.Dialer).DialContext(ctx, "unix", socket)
}

// talk has the framing of libmpathcmd: a size_t with the length, and the text
// with a NUL at its end.
func talk(conn io.ReadWriter, command string) (string, error) {
	message := appendSize(nil, uint64(len(command)+1))
	message = append(append(message, command...), 0)
	if _, err := conn.Write(message); err != nil {
		return "", err
	}
	head := make([]byte, sizeBytes)
	if _, err := io.ReadFull(conn, head); err != nil {
		return "", err
	}
	size := sizeOf(head)
	if size == 0 || size >= maxReply {
		return "", fmt.Errorf("reply of %d bytes", size)
	}
	reply := make([]byte, size)
	if _, err := io.ReadFull(conn, reply); err != nil {
		return "", err
	}
	text, _, _ := bytes.Cut(reply, []byte{0})
	return strings.TrimRight(string(text), "\n"), nil
}

func appendSize(to []byte, n uint64) []byte {
	if sizeBytes == 4 {
		return binary.NativeEndian.AppendUint32(to, uint32(n))
	}
	return binary.NativeEndian.AppendUint64(to, n)
}

func sizeOf(head []byte) uint64 {
	if len(head) == 4 {
		return uint64(binary.NativeEndian.Uint32(head))
	}
	return binary.NativeEndian.Uint64(head)
}
