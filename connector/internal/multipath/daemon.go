// SPDX-License-Identifier: Apache-2.0

package multipath

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/gocinder/cinderlib/connector"
)

// ErrNotRunning says that there is no multipathd to ask.
var ErrNotRunning = connector.Errorf(connector.ErrPrecondition, "%w", errNoDaemon)

// Daemon is the multipathd of a host.
type Daemon struct{ Host *connector.Host }

// Running tells whether it answers. The error is that of ctx.
func (d Daemon) Running(ctx context.Context) (bool, error) {
	_, err := d.do(ctx, "show daemon")
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return err == nil, nil
}

// Path is a disk as multipathd knows it.
type Path struct {
	Name  string // sda
	WWID  string
	Map   string // name of its map, empty for none
	State string // of the path in the map: active, failed, undef
}

// Paths lists the disks that multipathd knows.
func (d Daemon) Paths(ctx context.Context) ([]Path, error) {
	reply, err := d.do(ctx, "show paths raw format %d|%w|%m|%t")
	if err != nil {
		return nil, err
	}
	var paths []Path
	for line := range strings.Lines(reply) {
		field := strings.Split(strings.TrimSpace(line), "|")
		if len(field) != 4 {
			continue
		}
		for i, f := range field {
			field[i] = strings.TrimSpace(f)
		}
		p := Path{Name: field[0], WWID: field[1], Map: field[2], State: field[3]}
		if strings.HasPrefix(p.Map, "[") { // [orphan]
			p.Map = ""
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// AddPath has multipathd look at a disk.
func (d Daemon) AddPath(ctx context.Context, disk string) error {
	return d.change(ctx, "add path "+disk)
}

// DelPath has multipathd forget a disk; it takes it out of its map too.
func (d Daemon) DelPath(ctx context.Context, disk string) error {
	return d.change(ctx, "del path "+disk)
}

// AddMap has multipathd make the map of a WWID, even of a single path.
func (d Daemon) AddMap(ctx context.Context, wwid string) error {
	return d.change(ctx, "add map "+wwid)
}

// DelMap removes a map and those of its partitions. It fails if one is in use.
func (d Daemon) DelMap(ctx context.Context, name string) error {
	return d.change(ctx, "del map "+name)
}

// DisableQueueing has requests to a map without paths fail.
func (d Daemon) DisableQueueing(ctx context.Context, name string) error {
	return d.change(ctx, "disablequeueing map "+name)
}

// Resize gives a map the size of its paths.
func (d Daemon) Resize(ctx context.Context, name string) error {
	return d.change(ctx, "resize map "+name)
}

// change does what takes root. multipathd knows who asks, and has a program that
// root may run.
func (d Daemon) change(ctx context.Context, command string) error {
	reply, err := d.do(ctx, command)
	if err == nil && strings.Contains(reply, "permission den") {
		var r connector.Result
		r, err = d.Host.Run.Run(ctx, connector.Command{Args: append([]string{"multipathd"}, strings.Fields(command)...), Root: true})
		reply = strings.TrimSpace(string(r.Stdout))
	}
	switch {
	case err != nil:
		return err
	case reply == "ok" || reply == "":
		return nil
	}
	return connector.Errorf(connector.ErrUnavailable, "multipathd: %s: %s", command, strings.ReplaceAll(reply, "\n", " "))
}

func (d Daemon) do(ctx context.Context, command string) (string, error) {
	reply, err := ask(ctx, d.Host, command)
	if d.Host.Log.Enabled(ctx, slog.LevelDebug) {
		d.Host.Log.DebugContext(ctx, "asked multipathd", slog.String("command", command), slog.String("reply", reply), slog.Any("error", err))
	}
	if errors.Is(err, errNoDaemon) {
		return "", ErrNotRunning
	}
	return reply, err
}
