// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gocinder/cinderlib/drivers"
)

const code = `package x_test

func ExampleGood() {
	if x {
		print("good")
	}

	// Output:
	// good
}

func ExampleSetUp() {
	ctx := context.Background()
	_, backend, done := newExample(ctx)
	defer done()

	backend.Use(ctx)
	// Output:
}

func Example_silent() {
	print("nobody runs this")
}

// docgen: part

type part struct {
	a int
}

// docgen: end

// docgen: open
`

func made(t *testing.T) *sources {
	t.Helper()
	s, err := readSources(fstest.MapFS{"x_test.go": {Data: []byte(code)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// page writes ”' for the fence.
func page(text string) string { return strings.ReplaceAll(text, "'''", "```") }

func TestFill(t *testing.T) {
	text, faults := fill(page("# A\n\n<!-- example: ExampleGood -->\n'''go\nold\n'''\n\n<!-- code: x_test.go:part -->\n\n'''go\n'''\n\n'''sh\nmake\n'''\n"), made(t))
	equal(t, faults, []string(nil))
	equal(t, text, page("# A\n\n<!-- example: ExampleGood -->\n'''go\nif x {\n\tprint(\"good\")\n}\n'''\n\n"+
		"<!-- code: x_test.go:part -->\n\n'''go\ntype part struct {\n\ta int\n}\n'''\n\n'''sh\nmake\n'''\n"))
	again, _ := fill(text, made(t))
	equal(t, made(t).examples["ExampleSetUp"], "backend.Use(ctx)")
	equal(t, again, text)
}

func TestFillRefuses(t *testing.T) {
	for text, fault := range map[string]string{
		"'''go\nx\n'''": "1: a Go block needs a comment",
		"<!-- sample: ExampleGood -->\n'''go\n'''":                   "2: a Go block needs a comment",
		"<!-- example: ExampleGone -->\n'''go\n'''":                  "2: there is no ExampleGone",
		"<!-- example: Example_silent -->\n'''go\n'''":               "2: Example_silent has no Output",
		"<!-- code: x_test.go:none -->\n'''go\n'''":                  "2: x_test.go has no region none",
		"<!-- code: x_test.go:open -->\n'''go\n'''":                  "2: region open of x_test.go has no end",
		"<!-- code: gone.go:a -->\n'''go\n'''":                       "2: open gone.go",
		"<!-- code: x_test.go -->\n'''go\n'''":                       "2: \"x_test.go\" is not FILE.go:REGION",
		"<!-- example: ExampleGood -->\ntext\n'''sh\n'''":            "2: no Go block is behind",
		"<!-- example: ExampleGood -->\n'''sh\n'''":                  "2: the comment",
		"<!-- example: ExampleGood -->\n":                            "2: no Go block is behind",
		"<!-- example: ExampleGood -->\n'''go\nnever closed":         "2: the block has no end",
		"a\n<!-- example: ExampleGood -->\n\n'''go\n'''\n'''go\n'''": "6: a Go block needs a comment",
	} {
		_, faults := fill(page(text), made(t))
		if len(faults) != 1 || !strings.HasPrefix(faults[0], fault) {
			t.Errorf("%q: got %q, want %q", text, faults, fault)
		}
	}
}

func TestLinks(t *testing.T) {
	pages := map[string]string{
		"README.md": page("[a](docs/a.md) [b](docs/a.md#b--c) [twice](docs/a.md#twice-1) [out](https://example.org/x) [dir](drivers)\n" +
			"`[code](gone.md)`\n'''\n[block](gone.md)\n'''\n[gone](docs/gone.md) [no heading](docs/a.md#d) [here](#here)"),
		"docs/a.md": "# B & `C`\n## Twice\n## Twice\n[up](../README.md) [up](../gone.go)",
	}
	equal(t, brokenLinks(fstest.MapFS{"drivers/x.go": {}}, pages), []string{
		"README.md: link docs/gone.md: there is no docs/gone.md",
		"README.md: link docs/a.md#d: docs/a.md has no heading d",
		"README.md: link #here: README.md has no heading here",
		"docs/a.md: link ../gone.go: there is no gone.go",
	})
}

func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	have := map[string]string{"same.md": "same", "old.md": "old", "docs/options/gone.md": "gone"}
	for name, text := range have {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"same.md": "same", "old.md": "new", "docs/options/new.md": "new"}
	for _, check := range []bool{true, false} {
		stale, err := update(dir, have, want, check)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, stale, []string{"docs/options/gone.md", "docs/options/new.md", "old.md"})
		now, err := pages(os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, now, map[bool]map[string]string{true: have, false: want}[check])
	}
}

func TestOptionsPage(t *testing.T) {
	type options struct {
		drivers.CommonOptions
		Mode   string         `option:"mode" default:"a" choices:"a,b" help:"a | b"`
		Secret drivers.Secret `option:"secret" aliases:"password" required:"true" help:"of the array"`
		Old    int            `option:"old" ignored:"it is old" help:"was new"`
	}
	text := optionsPage(drivers.NewRegistration[options]("x", nil, drivers.Alias("cinder.X"), drivers.Describe("1", "made up")), "y")
	for _, want := range []string{
		"| `mode` | string | `a` | a \\| b; one of `a`, `b` |\n",
		"| `secret` | string | **required** | of the array; secret: never in logs and errors; also called `password` |\n",
		"| `old` | was new | it is old |\n",
		"(../drivers/y.md)", "`cinder.X`", "## Of every driver", "from 0 to 100",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if !strings.Contains(namesPage([]drivers.Registration{{Name: "x", Aliases: []string{"cinder.X"}}}), "| `cinder.X` | `x` |") {
		t.Error("the alias is missing")
	}
}

func TestInspect(t *testing.T) {
	f, err := inspect("../..")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, f.folder["file"], "file")
	equal(t, f.has["file"], map[string]bool{"Reverter": true, "Retyper": true, "Manager": true})
	equal(t, f.capabilities[0].field, "Revert")
}
