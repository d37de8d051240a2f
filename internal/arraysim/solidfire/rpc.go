// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/arraysim"
)

// message is a request. Its identifier is echoed, and null without one.
type message struct {
	Method string
	Params map[string]any
	ID     json.RawMessage
}

var null = json.RawMessage("null")

// decode reads a request. The identifier and the method are there even if the
// rest is wrong, as far as they can be read.
func decode(body []byte) (message, *Error) {
	m := message{ID: null}
	var raw struct {
		Method json.RawMessage `json:"method"`
		Params json.RawMessage `json:"params"`
		ID     json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return m, refuse(invalidParameter, "The request is not a JSON object.")
	}
	if number := string(raw.ID); number != "" && strings.Trim(number, "-0123456789") == "" {
		m.ID = raw.ID
	}
	switch err := json.Unmarshal(raw.Method, &m.Method); {
	case len(raw.Method) == 0 || string(raw.Method) == "null":
		return m, refuse(missingParameter, "Missing member=[method]")
	case err != nil:
		return m, refuse(invalidParameterType, "method: Invalid type: expected string")
	}
	var refused *Error
	m.Params, refused = decodeParams(raw.Params)
	return m, refused
}

// decodeParams reads params, which may be absent.
func decodeParams(text []byte) (map[string]any, *Error) {
	if len(text) == 0 {
		return nil, nil
	}
	var params map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&params); err != nil && !errors.Is(err, io.EOF) {
		return nil, refuse(invalidParameterType, "params: Invalid type: expected object")
	}
	return params, nil
}

var names = regexp.MustCompile(`^[A-Za-z0-9]{1,64}$`)

// Operation implements arraysim.Array: it is the method, or "invalid".
func (c *Cluster) Operation(r *arraysim.Request) string {
	if m, _ := decode(r.Body); names.MatchString(m.Method) {
		return m.Method
	}
	return "invalid"
}

// Do implements arraysim.Array.
func (c *Cluster) Do(ctx context.Context, r *arraysim.Request) arraysim.Answer {
	if status := c.route(r); status != http.StatusOK {
		return c.Status(r, status)
	}
	m, refused := decode(r.Body)
	if refused != nil {
		return c.refusal(m.ID, refused)
	}
	result, refused := c.run(ctx, m.Method, m.Params, r.Special)
	if refused != nil {
		return c.refusal(m.ID, refused)
	}
	return reply(http.StatusOK, struct {
		ID     json.RawMessage `json:"id"`
		Result json.RawMessage `json:"result"`
	}{m.ID, result})
}

// route tells whether there is something at a path: /json-rpc/VERSION, with a
// slash behind it or without, for every version up to the cluster's.
func (c *Cluster) route(r *arraysim.Request) int {
	rest, ok := strings.CutPrefix(r.URL.Path, "/json-rpc/")
	if !ok {
		return http.StatusNotFound
	}
	v, ok := parseVersion(strings.TrimSuffix(rest, "/"))
	switch {
	case !ok || v.less(version{1, 0}) || c.version.less(v):
		return http.StatusNotFound
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed
	}
	return http.StatusOK
}

// Error implements arraysim.Array.
func (c *Cluster) Error(r *arraysim.Request, name string) arraysim.Answer {
	m, _ := decode(r.Body)
	return c.refusal(m.ID, refuse(name, "%s", name))
}

func (c *Cluster) refusal(id json.RawMessage, e *Error) arraysim.Answer {
	return failure(c.options.ErrorStatus, id, 500, e)
}

// Status implements arraysim.Array. 401 is no JSON, as it is not the interface
// that answers.
func (c *Cluster) Status(r *arraysim.Request, status int) arraysim.Answer {
	if status == http.StatusUnauthorized {
		return arraysim.Answer{
			Status: status, Type: "text/html",
			Header: http.Header{"Www-Authenticate": {`Basic realm="Element OS"`}},
			Body:   []byte("<html><body><h1>401 Unauthorized.</h1></body></html>\n"),
		}
	}
	name := internalError
	if status == http.StatusNotFound {
		name = unknownVersion
	}
	m, _ := decode(r.Body)
	return failure(status, m.ID, status, refuse(name, "%d %s", status, http.StatusText(status)))
}

func failure(status int, id json.RawMessage, code int, e *Error) arraysim.Answer {
	type body struct {
		Code    int    `json:"code"`
		Name    string `json:"name"`
		Message string `json:"message"`
	}
	return reply(status, struct {
		ID    json.RawMessage `json:"id"`
		Error body            `json:"error"`
	}{id, body{code, e.Name, e.Message}})
}

func reply(status int, body any) arraysim.Answer {
	text, err := json.Marshal(body)
	if err != nil {
		return arraysim.Answer{Status: http.StatusInternalServerError, Type: "text/plain", Body: []byte(err.Error())}
	}
	return arraysim.Answer{Status: status, Body: text}
}

// Secret implements arraysim.Array: CHAP secrets, pairing keys and passwords.
func (c *Cluster) Secret(field string) bool { return secretField(field) }

func secretField(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "secret") || strings.Contains(name, "password") || strings.Contains(name, "pairingkey")
}

// The special faults of a cluster.
const (
	// SlowClone has the job of a CloneVolume run for the fault's Delay.
	SlowClone = "slow clone"
	// LostHandle has GetAsyncResult forget its handle first.
	LostHandle = "lost handle"
	// Full refuses what needs space, with Options.FullError: CreateVolume,
	// CloneVolume, ModifyVolume when it grows, snapshots, RollbackToSnapshot.
	Full = "full"
)

// Specials implements arraysim.Array.
func (c *Cluster) Specials() []string { return []string{SlowClone, LostHandle, Full} }

// version is one of the interface: 8.0.
type version struct{ major, minor int }

var versions = regexp.MustCompile(`^([0-9]{1,3})\.([0-9]{1,3})$`)

func parseVersion(text string) (version, bool) {
	parts := versions.FindStringSubmatch(text)
	if parts == nil {
		return version{}, false
	}
	major, _ := strconv.Atoi(parts[1]) // digits, few of them
	minor, _ := strconv.Atoi(parts[2])
	return version{major, minor}, true
}

func (v version) less(than version) bool {
	return v.major < than.major || v.major == than.major && v.minor < than.minor
}
