// SPDX-License-Identifier: Apache-2.0

package gormdb_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/mysqltest"
	"github.com/gocinder/cinderlib/persistence"
	"github.com/gocinder/cinderlib/persistence/gormdb"
)

// at is a URL with another host and port.
func at(t testing.TB, url, address string) string {
	t.Helper()
	before, after, ok := strings.Cut(url, "@")
	require.True(t, ok)
	_, database, ok := strings.Cut(after, "/")
	require.True(t, ok)
	return before + "@" + address + "/" + database
}

// as is a URL with another user, whose password is the canary.
func as(t testing.TB, url, user string) string {
	t.Helper()
	_, after, ok := strings.Cut(url, "@")
	require.True(t, ok)
	return "mysql://" + user + ":" + canary + "@" + after
}

// user makes a user of the test's own, with the canary as password.
func user(t testing.TB, grants ...string) string {
	t.Helper()
	base := os.Getenv(mysqltest.URLEnv)
	name := "t" + uuid.NewString()[:8]
	mysqltest.Exec(t, base, "CREATE USER '"+name+"'@'%' IDENTIFIED BY '"+canary+"'")
	t.Cleanup(func() { mysqltest.Exec(t, base, "DROP USER '"+name+"'@'%'") })
	for _, grant := range grants {
		mysqltest.Exec(t, base, fmt.Sprintf(grant, "'"+name+"'@'%'"))
	}
	return name
}

// fails opens what cannot be opened; it has all the time it wants.
func fails(t *testing.T, url string, sentinel error, says ...string) {
	t.Helper()
	start := time.Now()
	s, err := gormdb.Open(t.Context(), url)
	code(t, err, sentinel, append(says, "database ")...)
	assert.Nil(t, s)
	assert.Less(t, time.Since(start), 20*time.Second, "it is not asked twice")
}

func TestMySQLRefuses(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	url := freshMySQL(t)
	name := url[strings.LastIndex(url, "/")+1:]
	fails(t, as(t, url, "cinder"), fault.ErrUnauthenticated, name, "127.0.0.1", "Access denied")
	fails(t, as(t, url, "nobody"), fault.ErrUnauthenticated, name, "Access denied")
	fails(t, url+"_none", persistence.ErrNotFound, name+"_none", "Unknown database")
	fails(t, as(t, url, user(t)), fault.ErrPermission, name, "Access denied")
	fails(t, as(t, url, user(t, "ALTER USER %s ACCOUNT LOCK", "GRANT ALL ON "+name+".* TO %s")), fault.ErrUnauthenticated, name, "locked")
	fails(t, as(t, url, user(t, "GRANT SELECT ON "+name+".* TO %s")), fault.ErrPermission, name, "CREATE command denied")
	fails(t, url+"?ssl_verify_cert=true", persistence.ErrInvalid, name, "TLS")

	s := open(t, url)
	fill(t, s, 2)
	reader := open(t, as(t, url, user(t, "GRANT SELECT ON "+name+".* TO %s")))
	assert.Len(t, ids(t, reader), 2)
	code(t, reader.Write(t.Context(), persistence.Put(volume(1))), fault.ErrPermission, name, "volume "+id(1), "UPDATE command denied")
	code(t, reader.Write(t.Context(), persistence.Delete(volume(1))), fault.ErrPermission, name, "volume "+id(1), "denied")
	assert.Len(t, ids(t, s), 2)

	large := volume(7)
	large.Size = 1 << 40
	code(t, s.Write(t.Context(), persistence.Insert(volume(6)), persistence.Insert(large)), persistence.ErrInvalid, "volume "+id(7), "size")
	for _, n := range []int{16 << 20, 17 << 20, 70 << 20} {
		large = volume(7)
		large.GlanceMetadata = map[string]string{"large": strings.Repeat("x", n)}
		code(t, s.Write(t.Context(), persistence.Insert(volume(6)), persistence.Insert(large)), persistence.ErrInvalid, "volume "+id(7))
	}
	assert.Len(t, ids(t, s), 2)
}

// serve answers connections with f until the test ends.
func serve(t testing.TB, f func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		assert.NoError(t, listener.Close())
		wg.Wait()
	})
	return listener.Addr().String()
}

// Peers that are no database server, or are not there.
func TestMySQLPeers(t *testing.T) {
	t.Parallel()
	const url = "mysql://cinder:" + canary + "@host/db"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := listener.Addr().String()
	require.NoError(t, listener.Close())
	fails(t, at(t, url, closed), persistence.ErrUnavailable, "db at "+closed, "refused")
	fails(t, "mysql://u:"+canary+"@h/db?unix_socket=/none/socket", persistence.ErrUnavailable, "/none/socket")

	drops := serve(t, func(net.Conn) {})
	fails(t, at(t, url, drops), persistence.ErrUnavailable, "db at "+drops)
	web := serve(t, func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") })
	fails(t, at(t, url, web), persistence.ErrUnavailable, "db at "+web)
	refuses := serve(t, func(c net.Conn) { _, _ = c.Write([]byte("\x17\x00\x00\x00\xff\x10\x04Too many connections")) })
	fails(t, at(t, url, refuses), persistence.ErrUnavailable, "db at "+refuses, "Too many connections")

	silent := serve(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = gormdb.Open(ctx, at(t, url, silent))
	code(t, err, context.DeadlineExceeded, "db at "+silent)
	_, err = gormdb.Open(t.Context(), at(t, url, silent), gormdb.WithPatience(200*time.Millisecond))
	code(t, err, persistence.ErrUnavailable, "db at "+silent, "no answer within 200ms")
}

// An address that takes no connection: that a dial took too long is no end of the
// caller's time.
func TestMySQLDialTimesOut(t *testing.T) {
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, syscall.Close(fd)) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	address := fmt.Sprint("127.0.0.1:", name.(*syscall.SockaddrInet4).Port)
	for n := 0; ; n++ { // until its queue is full
		require.Less(t, n, 10)
		c, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { assert.NoError(t, c.Close()) })
	}
	url := "mysql://cinder:" + canary + "@" + address + "/db"
	_, err = gormdb.Open(t.Context(), url+"?connect_timeout=1")
	code(t, err, persistence.ErrUnavailable, "db at "+address, "timeout")
	_, err = gormdb.Open(t.Context(), url, gormdb.WithPatience(200*time.Millisecond))
	code(t, err, persistence.ErrUnavailable, "db at "+address, "no answer within 200ms")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err = gormdb.Open(ctx, url)
	code(t, err, context.DeadlineExceeded, "db at "+address)
}

// harm is what a proxy does about what a client sends.
type harm int

const (
	none        harm = iota
	loseRequest      // the server does not get it, and the connection ends
	loseAnswer       // the server does it, and the connection ends
	freeze           // the server does it, and nothing is heard from then on
)

// proxy stands between the store and the server.
type proxy struct {
	mu   sync.Mutex
	harm func(sent []byte) harm
}

// do sets what harm is done from now on; nil for none.
func (p *proxy) do(f func(sent []byte) harm) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.harm = f
}

func (p *proxy) decide(sent []byte) harm {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.harm == nil {
		return none
	}
	return p.harm(sent)
}

// newProxy starts a proxy to the server of a URL, and returns its URL.
func newProxy(t testing.TB, url string) (*proxy, string) {
	t.Helper()
	_, after, _ := strings.Cut(url, "@")
	server, _, _ := strings.Cut(after, "/")
	p := &proxy{}
	return p, at(t, url, serve(t, func(client net.Conn) {
		up, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer up.Close()
		var harmed atomic.Int64
		var wg sync.WaitGroup
		wg.Go(func() {
			defer client.Close()
			buffer := make([]byte, 1<<16)
			for {
				n, err := up.Read(buffer)
				for err == nil && harm(harmed.Load()) == freeze {
					_, err = up.Read(buffer)
				}
				if err != nil || harm(harmed.Load()) != none {
					return
				}
				if _, err := client.Write(buffer[:n]); err != nil {
					return
				}
			}
		})
		buffer := make([]byte, 1<<16)
		for {
			n, err := client.Read(buffer)
			if err != nil {
				break
			}
			h := p.decide(buffer[:n])
			if h == loseRequest {
				break
			}
			harmed.CompareAndSwap(int64(none), int64(h))
			if _, err := up.Write(buffer[:n]); err != nil {
				break
			}
		}
		_ = up.Close()
		wg.Wait()
	}))
}

// once does harm to the first statement that begins so.
func once(h harm, statement string) func([]byte) harm {
	var done atomic.Bool
	return func(sent []byte) harm {
		if bytes.Contains(sent, []byte("\x03"+statement)) && !done.Swap(true) {
			return h
		}
		return none
	}
}

// The connection ends in the middle of a write: it is done all the same, once.
// Whether a commit was done whose answer was lost shows in what is stored.
func TestMySQLConnectionLost(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	for _, statement := range []string{"START TRANSACTION", "INSERT", "UPDATE", "COMMIT"} {
		for _, h := range []harm{loseRequest, loseAnswer} {
			t.Run(fmt.Sprint(statement, h), func(t *testing.T) {
				t.Parallel()
				p, url := newProxy(t, freshMySQL(t))
				s := open(t, url)
				fill(t, s, 3)
				key := &persistence.KeyValue{Key: "new", Value: canary}
				inUse, renamed, reserved := volume(1), snapshot(1), connection(1)
				inUse.Status, inUse.UpdatedAt = "in-use", time.Date(2026, 2, 3, 4, 5, 6, 123456789, time.UTC)
				inUse.Metadata = map[string]string{"other": canary}
				renamed.Name = "renamed"
				reserved.AttachStatus = persistence.AttachReserved
				for name, ops := range map[string][]persistence.Op{
					"volume":     {persistence.Insert(volume(11)), persistence.Put(keyValue(1))},
					"snapshot":   {persistence.Put(volume(2)), persistence.Insert(snapshot(12))},
					"connection": {persistence.Insert(connection(13)), persistence.Update(volume(2), volume(2))},
					"key":        {persistence.Insert(key), persistence.Update(keyValue(2), keyValue(2))},
					"status":     {persistence.Update(volume(1), inUse), persistence.Put(keyValue(2))},
					"name":       {persistence.Update(snapshot(1), renamed), persistence.Insert(volume(14))},
					"attach":     {persistence.Put(keyValue(1)), persistence.Update(connection(1), reserved)},
					"gone":       {persistence.Insert(volume(15)), persistence.Delete(snapshot(2)), persistence.Update(volume(2), volume(2))},
				} {
					p.do(once(h, statement))
					require.NoError(t, s.Write(t.Context(), ops...), name)
				}
				p.do(nil)
				assert.Len(t, ids(t, s), 3+3)
				found, err := s.Volumes(t.Context(), persistence.VolumeFilter{ID: id(1)})
				require.NoError(t, err)
				assert.Equal(t, "in-use", found[0].Status)
				assert.Equal(t, inUse.Metadata, found[0].Metadata)
				keys, err := s.KeyValues(t.Context(), "")
				require.NoError(t, err)
				assert.Len(t, keys, 4)
			})
		}
	}
}

// Reads, too, are done again.
func TestMySQLReadsAgain(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	p, url := newProxy(t, freshMySQL(t))
	s := open(t, url)
	fill(t, s, 3)
	for _, h := range []harm{loseRequest, loseAnswer} {
		p.do(once(h, "SELECT"))
		assert.Len(t, ids(t, s), 3)
		p.do(once(h, "SELECT"))
		_, err := s.Connections(t.Context(), persistence.ConnectionFilter{})
		require.NoError(t, err)
		p.do(once(h, "SELECT"))
		_, err = s.KeyValues(t.Context(), "")
		require.NoError(t, err)
	}
}

// A server that is not heard any more, at any point: each call ends in time.
func TestMySQLSilent(t *testing.T) {
	t.Parallel()
	mysqltest.Need(t)
	for _, statement := range []string{"START TRANSACTION", "SELECT", "INSERT", "COMMIT"} {
		t.Run(statement, func(t *testing.T) {
			t.Parallel()
			fresh := freshMySQL(t)
			p, url := newProxy(t, fresh)
			s := open(t, url, gormdb.WithPatience(3*time.Second))
			fill(t, s, 3)
			all := func(sent []byte) harm {
				if bytes.Contains(sent, []byte("\x03"+statement)) {
					return freeze
				}
				return none
			}
			p.do(all)
			start := time.Now()
			err := s.Write(t.Context(), persistence.Put(volume(3)), persistence.Insert(volume(4)))
			code(t, err, persistence.ErrUnavailable, "database", "no answer within 3s")
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			code(t, s.Write(ctx, persistence.Insert(volume(5))), context.DeadlineExceeded, "database")
			if statement == "START TRANSACTION" || statement == "SELECT" {
				_, err = s.Volumes(t.Context(), persistence.VolumeFilter{})
				code(t, err, persistence.ErrUnavailable, "database", "no answer within 3s")
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				_, err = s.Volumes(ctx, persistence.VolumeFilter{})
				code(t, err, context.DeadlineExceeded, "database")
			}
			assert.Less(t, time.Since(start), time.Minute)
			p.do(nil)
			require.NoError(t, s.Write(t.Context(), persistence.Put(volume(6))))
			stored := ids(t, s)
			assert.Contains(t, stored, id(6))
			if statement != "COMMIT" { // nobody can know then
				assert.Len(t, stored, 4)
			}
		})
	}
}
