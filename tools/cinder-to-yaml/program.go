// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"go/format"
	"go/token"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// reserved are the program's own names, which no backend's variable may hide.
func reserved() []string {
	return []string{"context", "fmt", "log", "cinderlib", "main", "ctx", "lib", "err", "any", "true", "false", "nil"}
}

// writeGo writes a program that sets the backends up.
func writeGo(w io.Writer, backends []map[string]any) error {
	var b bytes.Buffer
	b.WriteString(`package main

import (
	"context"
	"fmt"
	"log"

	"github.com/gocinder/cinderlib"
	_ "github.com/gocinder/cinderlib/drivers/all"
)

func main() {
	ctx := context.Background()
	lib, err := cinderlib.New()
	if err != nil {
		log.Fatal(err)
	}
`)
	taken := reserved()
	for _, options := range backends {
		name := variable(fmt.Sprint(options["volume_backend_name"]), taken)
		taken = append(taken, name)
		fmt.Fprintf(&b, "\n\t%s, err := lib.NewBackend(ctx, cinderlib.Options{\n", name)
		for _, option := range slices.Sorted(maps.Keys(options)) {
			fmt.Fprintf(&b, "%q: %s,\n", option, literal(options[option]))
		}
		fmt.Fprintf(&b, "})\nif err != nil {\nlog.Fatal(err)\n}\nfmt.Println(%s, %s.PoolNames())\n", name, name)
	}
	b.WriteString("if err := lib.Close(ctx); err != nil {\nlog.Fatal(err)\n}\n}\n")
	text, err := format.Source(b.Bytes())
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// variable is the backend's name with underscores for spaces and dashes, and for
// all else that a Go name cannot have.
func variable(name string, taken []string) string {
	v := strings.Map(func(r rune) rune {
		if r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return '_'
	}, name)
	if !token.IsIdentifier(v) || strings.Trim(v, "_") == "" || slices.Contains(taken, v) {
		v = "backend_" + v
	}
	for unique, n := v, 2; ; n++ {
		if !slices.Contains(taken, unique) {
			return unique
		}
		unique = fmt.Sprintf("%s_%d", v, n)
	}
}

// literal writes a value as cinderconf gives them.
func literal(value any) string {
	switch v := value.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case []any:
		items := make([]string, len(v))
		for i := range v {
			items[i] = literal(v[i])
		}
		return "[]any{" + strings.Join(items, ", ") + "}"
	}
	return fmt.Sprint(value) // bool, int64, float64
}
