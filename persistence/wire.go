// SPDX-License-Identifier: Apache-2.0

package persistence

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/internal/ovo"
)

// ConnectionSchema is how connections are written in JSON. Its relation is
// volume.
//
// Conn, Connector and Device are one field there, connection_info; Connector is
// also one of its own, connector, which may hold something else, or nothing, in
// documents of older releases. What connection_info says of it counts then, and
// connector is written again as it was.
func ConnectionSchema() *ovo.Schema[Connection] { return connectionSchema() }

var connectionSchema = sync.OnceValue(func() *ovo.Schema[Connection] {
	itself := func(c *Connection) *Connection { return c }
	return ovo.New("VolumeAttachment", "1.3", func(c *Connection) **ovo.Wire { return &c.Wire },
		ovo.String("id", func(c *Connection) *string { return &c.ID }),
		ovo.String("volume_id", func(c *Connection) *string { return &c.VolumeID }),
		ovo.String("instance_uuid", func(c *Connection) *string { return &c.InstanceUUID }),
		ovo.String("attached_host", func(c *Connection) *string { return &c.AttachedHost }),
		ovo.String("mountpoint", func(c *Connection) *string { return &c.Mountpoint }),
		ovo.Time("attach_time", func(c *Connection) *time.Time { return &c.AttachTime }),
		ovo.Time("detach_time", func(c *Connection) *time.Time { return &c.DetachTime }),
		ovo.String("attach_status", func(c *Connection) *string { return &c.AttachStatus }),
		ovo.String("attach_mode", func(c *Connection) *connector.AccessMode { return &c.AttachMode }),
		ovo.Relation[Connection]("volume"),
		ovo.Custom(columnInfo, itself, ovo.Codec[Connection]{
			Append: appendInfo,
			Read:   readInfo,
			Equal: func(a, b *Connection) bool {
				return sameConn(a.Conn, b.Conn) && sameProperties(a.Connector, b.Connector) && sameDevice(a.Device, b.Device)
			},
			Copy: func(dst, src *Connection) {
				dst.Conn, dst.Connector, dst.Device = src.Conn.Clone(), src.Connector.Clone(), src.Device.Clone()
			},
			Absent: func(c *Connection) { c.Conn, c.Connector, c.Device = nil, nil, nil },
			Match:  matchInfo,
			Revise: reviseInfo,
		}),
		ovo.Custom(columnConnector, itself, ovo.Codec[Connection]{
			Append: func(dst []byte, c *Connection) []byte { return appendProperties(dst, c.Connector) },
			Read:   readConnector,
			Equal:  func(a, b *Connection) bool { return sameProperties(a.Connector, b.Connector) },
			Copy:   func(dst, src *Connection) { dst.Connector = src.Connector.Clone() },
			Absent: func(*Connection) {}, // it may be in connection_info
			// What differs from connection_info does so for as long as it lives: a
			// connection is for one host.
			Match: func(*Connection, []byte) bool { return true },
		}).Late(),
		ovo.Time("created_at", func(c *Connection) *time.Time { return &c.CreatedAt }),
		ovo.Time("updated_at", func(c *Connection) *time.Time { return &c.UpdatedAt }),
		ovo.Time("deleted_at", func(c *Connection) *time.Time { return &c.DeletedAt }),
		ovo.Bool("deleted", func(c *Connection) *bool { return &c.Deleted }, false),
	)
})

// The columns, and JSON fields, of what Connection holds in parts.
const (
	columnInfo      = "connection_info"
	columnConnector = "connector"
)

// The keys of connection_info.
const (
	keyConn      = "conn"
	keyConnector = "connector"
	keyDevice    = "device"
)

// hasInfo tells whether there is a connection_info: without a connection the
// host stands in connector alone.
func hasInfo(c *Connection) bool { return c.Conn != nil || c.Device != nil }

func appendInfo(dst []byte, c *Connection) []byte {
	if !hasInfo(c) {
		return append(dst, "null"...)
	}
	dst, _ = appendParts(append(dst, '{'), c, true)
	return append(dst, '}')
}

// appendParts writes the members of connection_info that a connection has, and
// returns true if there is none.
func appendParts(dst []byte, c *Connection, first bool) (_ []byte, none bool) {
	if c.Conn != nil {
		dst = appendConn(appendKey(dst, keyConn, first), c.Conn)
		first = false
	}
	if c.Connector != nil {
		dst = appendProperties(appendKey(dst, keyConnector, first), c.Connector)
		first = false
	}
	if c.Device != nil {
		dst = appendDevice(appendKey(dst, keyDevice, first), c.Device)
		first = false
	}
	return dst, first
}

func appendKey[S ~string | ~[]byte](dst []byte, key S, first bool) []byte {
	if !first {
		dst = append(dst, ',')
	}
	return append(ovo.AppendString(dst, key), ':')
}

func readInfo(d *ovo.Decoder, c *Connection) (exact bool, err error) {
	c.Conn, c.Connector, c.Device = nil, nil, nil
	if d.Null() {
		return true, nil
	}
	exact = true
	err = d.Object(func(key []byte) (err error) {
		switch string(key) {
		case keyConn:
			c.Conn, err = readPart[connector.ConnInfo](d)
			exact = exact && c.Conn != nil
		case keyConnector:
			c.Connector, err = readPart[connector.Properties](d)
			exact = exact && c.Connector != nil
		case keyDevice:
			c.Device, err = readPart[connector.Device](d)
			exact = exact && c.Device != nil
		default:
			exact = false
		}
		return err
	})
	// Without connector here, it may be taken from the field connector.
	return exact && hasInfo(c) && c.Connector != nil, err
}

// matchInfo tells whether the parts of connection_info that odd has are those of
// the connection.
func matchInfo(c *Connection, odd []byte) bool {
	if len(odd) == 0 {
		return !hasInfo(c)
	}
	var was Connection
	if _, err := readInfo(ovo.NewDecoder(odd), &was); err != nil {
		return false
	}
	return sameConn(c.Conn, was.Conn) && sameDevice(c.Device, was.Device) &&
		(was.Connector == nil || sameProperties(c.Connector, was.Connector))
}

// reviseInfo writes the connection's parts, and those of odd that are none.
func reviseInfo(dst []byte, c *Connection, odd []byte) []byte {
	start := len(dst)
	dst, first := appendParts(append(dst, '{'), c, true)
	rest := false
	d := ovo.NewDecoder(odd)
	_ = d.Object(func(key []byte) error { // it was read before
		switch string(key) {
		case keyConn, keyConnector, keyDevice:
			return nil
		}
		text, err := d.Raw()
		dst = append(appendKey(dst, key, first), text...)
		first, rest = false, true
		return err
	})
	if !rest {
		return appendInfo(dst[:start], c)
	}
	return append(dst, '}')
}

// InfoJSON returns the texts that Cinder's columns connection_info and connector
// hold for the connection; nil is NULL.
func (c *Connection) InfoJSON() (info, host []byte) {
	var odd map[string]json.RawMessage
	if c.Wire != nil {
		odd = c.Wire.Odd
	}
	if text, ok := odd[columnInfo]; ok && len(text) > 0 {
		if !matchInfo(c, text) {
			text = reviseInfo(nil, c, text)
		}
		info = text
	} else if hasInfo(c) {
		info = appendInfo(nil, c)
	}
	if text, ok := odd[columnConnector]; ok && len(text) > 0 {
		host = text
	} else if c.Connector != nil {
		host = appendProperties(nil, c.Connector)
	}
	return info, host
}

// SetInfoJSON is the reverse of InfoJSON. What the texts hold beyond the fields
// is kept and written again.
func (c *Connection) SetInfoJSON(info, host []byte) error {
	keep := func(column string, text []byte) {
		if c.Wire == nil {
			c.Wire = &ovo.Wire{Odd: map[string]json.RawMessage{}}
		}
		c.Wire.Odd[column] = ovo.Keep(text)
	}
	if len(info) == 0 {
		info = []byte("null")
	}
	exact, err := whole(info, func(d *ovo.Decoder) (bool, error) { return readInfo(d, c) })
	if err != nil {
		return fmt.Errorf("%s: %w", columnInfo, err)
	}
	if !exact && c.Conn == nil && c.Device == nil && c.Connector == nil {
		exact = bytes.Equal(info, []byte("{}")) // Python's, of a connection that has none
	}
	if !exact && !bytes.Equal(info, appendInfo(nil, c)) {
		keep(columnInfo, info)
	}
	if len(host) == 0 {
		return nil
	}
	exact, err = whole(host, func(d *ovo.Decoder) (bool, error) { return readConnector(d, c) })
	if err != nil {
		return fmt.Errorf("%s: %w", columnConnector, err)
	}
	if !exact {
		keep(columnConnector, host)
	}
	return nil
}

// whole reads a text that holds one value and nothing else.
func whole(text []byte, read func(*ovo.Decoder) (bool, error)) (exact bool, err error) {
	d := ovo.NewDecoder(text)
	if exact, err = read(d); err != nil {
		return false, err
	}
	return exact, d.End()
}

func readConnector(d *ovo.Decoder, c *Connection) (exact bool, err error) {
	p, err := readPart[connector.Properties](d)
	if err != nil {
		return false, err
	}
	if c.Connector == nil {
		c.Connector = p
		return true, nil
	}
	return sameProperties(p, c.Connector), nil
}

// readPart reads an object with the type's own decoder; null is nil.
func readPart[T any, P interface {
	*T
	UnmarshalJSON([]byte) error
}](d *ovo.Decoder) (*T, error) {
	switch d.Kind() {
	case ovo.KindNull:
		return nil, d.Skip()
	case ovo.KindObject:
	default:
		return nil, d.Object(nil) // that error knows its place
	}
	text, err := d.Raw()
	if err != nil {
		return nil, err
	}
	v := new(T)
	return v, P(v).UnmarshalJSON(text)
}

// The parts' encoders fail only for values that JSON does not know, which a
// driver may have put in their Extra. They write null for these.

func appendConn(dst []byte, i *connector.ConnInfo) []byte {
	text, _ := i.MarshalJSON()
	return append(dst, text...)
}

func appendProperties(dst []byte, p *connector.Properties) []byte {
	if p == nil {
		return append(dst, "null"...)
	}
	text, _ := p.MarshalJSON()
	return append(dst, text...)
}

func appendDevice(dst []byte, d *connector.Device) []byte {
	text, _ := d.MarshalJSON()
	return append(dst, text...)
}

// Two parts are the same if their JSON is: keys have one order there.

func sameConn(a, b *connector.ConnInfo) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	return bytes.Equal(appendConn(nil, a), appendConn(nil, b))
}

func sameProperties(a, b *connector.Properties) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	return bytes.Equal(appendProperties(nil, a), appendProperties(nil, b))
}

func sameDevice(a, b *connector.Device) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	return bytes.Equal(appendDevice(nil, a), appendDevice(nil, b))
}

// LogValue returns what says which connection it is. Connection data has a JSON
// form with its secrets in clear, which a JSON log handler would use.
func (c Connection) LogValue() slog.Value {
	protocol := ""
	if c.Conn != nil {
		protocol = c.Conn.Protocol
	}
	return slog.GroupValue(
		slog.String("id", c.ID),
		slog.String("volume_id", c.VolumeID),
		slog.String("host", c.AttachedHost),
		slog.String("status", c.AttachStatus),
		slog.String("protocol", protocol))
}
