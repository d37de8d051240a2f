// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/drivers"
	_ "github.com/gocinder/cinderlib/drivers/all"
)

const top = "../.." // of the module, from here

// listed is a package as go list -json prints it.
type listed struct {
	ImportPath   string
	ForTest      string
	Module       *struct{ Path string }
	Imports      []string
	TestImports  []string
	XTestImports []string
	CgoFiles     []string
	Deps         []string
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,ForTest,Module,Imports,TestImports,XTestImports,CgoFiles,Deps"}, args...)...)
	cmd.Dir = top
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var list []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return list
		}
		require.NoError(t, err)
		list = append(list, p)
	}
}

// relative turns our import paths into those of Package.
func relative(imports ...[]string) []string {
	var list []string
	for _, some := range imports {
		for _, path := range some {
			if path == Module {
				path = "."
			}
			list = append(list, strings.TrimPrefix(path, Module+"/"))
		}
	}
	return list
}

func TestArrows(t *testing.T) {
	t.Parallel()
	var packages []Package
	for _, p := range goList(t, "./...") {
		packages = append(packages, Package{
			Path: relative([]string{p.ImportPath})[0], Imports: relative(p.Imports),
			TestImports: relative(p.TestImports, p.XTestImports), Cgo: len(p.CgoFiles) > 0,
		})
	}
	require.NotEmpty(t, packages)
	report(t, Arrows(packages))
}

// What a program gets that imports the library and the contracts alone.
func TestLightRoot(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t, ".") {
		for _, dep := range p.Deps {
			switch dep { // database/sql/driver is of google/uuid, and light
			case "net/http", "database/sql", "gorm.io/gorm", "testing":
				t.Errorf("%s pulls in %s", p.ImportPath, dep)
			}
		}
	}
}

func TestModules(t *testing.T) {
	t.Parallel()
	used := map[string]string{}
	note := func(where string, list []listed) {
		for _, p := range list {
			if p.Module != nil && p.Module.Path != Module && used[p.Module.Path] == "" {
				used[p.Module.Path] = where
			}
		}
	}
	args := []string{"-deps"}
	for _, p := range goList(t, "./...") {
		if production(relative([]string{p.ImportPath})[0]) {
			args = append(args, p.ImportPath)
		}
	}
	note("production", goList(t, args...))
	note("test", goList(t, "-deps", "-test", "./..."))
	text, err := os.ReadFile("modules.txt")
	require.NoError(t, err)
	report(t, Modules(string(text), used))
}

func TestFiles(t *testing.T) {
	t.Parallel()
	faults, err := Files(os.DirFS(top))
	require.NoError(t, err)
	report(t, faults)
}

func TestVendors(t *testing.T) {
	t.Parallel()
	var names []string
	for _, r := range drivers.Registered() {
		names = append(names, r.Name)
	}
	require.NotEmpty(t, names)
	faults, err := Vendors(os.DirFS(top), names)
	require.NoError(t, err)
	report(t, faults)
}

func report(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}

// What follows sees the rules fail.

func TestArrowsRefuse(t *testing.T) {
	t.Parallel()
	for fault, p := range map[string]Package{
		"root may not import drivers/<vendor>":                {Path: ".", Imports: []string{"drivers/file"}},
		"root may not import persistence/<store>":             {Path: ".", Imports: []string{"persistence/gormdb"}},
		"root may not import internal tool":                   {Path: ".", Imports: []string{"internal/jsonstore"}},
		"root may not import driverstest":                     {Path: ".", Imports: []string{"drivers/driverstest"}},
		"commands are run by internal/command":                {Path: ".", Imports: []string{"os/exec"}},
		"HTTP belongs to drivers":                             {Path: "connector", Imports: []string{"net/http/httputil"}},
		"SQL belongs to stores":                               {Path: ".", Imports: []string{"gorm.io/gorm"}},
		"YAML is read by the functional suite and tools only": {Path: "drivers/lvm", Imports: []string{"gopkg.in/yaml.v3"}},
		"production code does not test":                       {Path: "drivers", Imports: []string{"github.com/stretchr/testify/require"}},
		"drivers may not import root":                         {Path: "drivers", Imports: []string{"."}},
		"drivers may not import persistence":                  {Path: "drivers", Imports: []string{"persistence"}},
		"drivers may not import drivers/<vendor>":             {Path: "drivers", Imports: []string{"drivers/lvm"}},
		"they are siblings":                                   {Path: "drivers/lvm", Imports: []string{"drivers/rbd"}},
		"drivers/<vendor> may not import root":                {Path: "drivers/lvm", Imports: []string{"."}},
		"drivers/<vendor> may not import persistence":         {Path: "drivers/lvm/api", Imports: []string{"persistence"}},
		"drivers/<vendor> may not import connector/<transp":   {Path: "drivers/lvm", Imports: []string{"connector/iscsi"}},
		"drivers/all may not import internal":                 {Path: "drivers/all", Imports: []string{"internal/fault"}},
		"connector may not import drivers":                    {Path: "connector", Imports: []string{"drivers"}},
		"connector may not import connector/<transport>":      {Path: "connector", Imports: []string{"connector/iscsi"}},
		"connector/<transport> may not import drivers":        {Path: "connector/iscsi", Imports: []string{"drivers"}},
		"connector/<transport> may not import persistence":    {Path: "connector/fc", Imports: []string{"persistence"}},
		"connector/<transport> may not import root":           {Path: "connector/fc", Imports: []string{"."}},
		"connector/internal may not import connector/<trans":  {Path: "connector/internal/linuxscsi", Imports: []string{"connector/fc"}},
		"persistence may not import root":                     {Path: "persistence", Imports: []string{"."}},
		"persistence may not import persistence/<store>":      {Path: "persistence", Imports: []string{"persistence/memory"}},
		"persistence/<store> may not import root":             {Path: "persistence/memory", Imports: []string{"."}},
		"driverstest may not import persistence":              {Path: "drivers/driverstest", Imports: []string{"persistence"}},
		"connectortest may not import drivers":                {Path: "connector/connectortest", Imports: []string{"drivers"}},
		"internal may not import connector":                   {Path: "internal/lock", Imports: []string{"connector"}},
		"internal may not import internal tool":               {Path: "internal/lock", Imports: []string{"internal/fakehost"}},
		"functional may not import internal":                  {Path: "functional", TestImports: []string{"internal/lock"}},
		"functional may not import drivers/<vendor>":          {Path: "functional", Imports: []string{"drivers/file"}},
		"functional may not import connector/<transport>":     {Path: "functional", TestImports: []string{"connector/local"}},
		"is in no known place of the tree":                    {Path: "util"},
		"uses cgo":                                            {Path: "drivers/rbd", Cgo: true},
	} {
		faults := Arrows([]Package{p})
		if assert.Len(t, faults, 1, "%v", p) {
			assert.Contains(t, faults[0], fault)
		}
	}
}

func TestArrowsAllow(t *testing.T) {
	t.Parallel()
	assert.Empty(t, Arrows([]Package{
		{Path: ".", Imports: []string{"persistence", "persistence/memory", "drivers", "connector", "connector/local", "internal/lock", "net"},
			TestImports: []string{"drivers/file", "internal/jsonstore", "os/exec"}},
		{Path: "connector/iscsi", Imports: []string{"connector", "connector/iscsi/db", "connector/internal/linuxscsi", "internal/fault"}},
		{Path: "drivers/vmax", Imports: []string{"drivers", "drivers/vmax/api", "drivers/internal/san", "connector", "internal/rest", "net/http"}},
		{Path: "drivers/all", Imports: []string{"drivers/vmax"}},
		{Path: "persistence/gormdb", Imports: []string{"persistence", "drivers", "gorm.io/gorm", "database/sql"}},
		{Path: "drivers/driverstest", Imports: []string{"drivers", "connector", "internal/lock", "testing"}},
		{Path: "internal/command", Imports: []string{"internal/fault", "os/exec"}},
		{Path: "internal/demo", Imports: []string{".", "drivers/all", "os/exec"}},
		{Path: "functional", TestImports: []string{".", "drivers/all", "connector", "persistence", "drivers", "internal/cinderconf", "gopkg.in/yaml.v3", "testing", "os/exec"}},
	}))
}

func TestModulesRefuse(t *testing.T) {
	t.Parallel()
	list := "# a remark\nexample.org/a production\nexample.org/b test # of a\nexample.org/gone production\n"
	assert.Equal(t, []string{
		"module example.org/b is for production, and modules.txt has it for test",
		"module example.org/gone is in modules.txt and not used",
		"module example.org/new (test) is not in modules.txt; CONTRIBUTING.md says how to add a dependency",
	}, Modules(list, map[string]string{"example.org/a": "production", "example.org/b": "production", "example.org/new": "test"}))
	assert.Equal(t, []string{`modules.txt: "example.org/a" is not a module path and production or test`}, Modules("example.org/a\n", nil))
}

// source is a made-up tree of Go files.
func source(files map[string]string) fs.FS {
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

func TestFilesRefuse(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("//\n", maxLines)
	faults, err := Files(source(map[string]string{
		"a.go":                 spdx + "\n// Package a is described.\npackage a\n",
		"b.go":                 "package a\n",
		"c/c.go":               spdx + "\npackage c\n",
		"d/d.go":               spdx + "\n// Package d is long.\npackage d\n" + long,
		"d/d_test.go":          spdx + "\npackage d\n" + long,
		"bin/x.go":             "no source",
		"testdata/x.go":        "no source",
		".cache/x.go":          "no source",
		"d/testdata/fuzz/x.go": "no source",
	}))
	require.NoError(t, err)
	assert.Equal(t, []string{
		"b.go does not begin with // SPDX-License-Identifier: Apache-2.0",
		"d/d.go has 604 lines, more than 600",
		"no file of c has a package comment",
	}, faults)
}

func TestVendorsRefuse(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"drivers/driver.go":       "package drivers",
		"drivers/all/all.go":      "package all\nimport _ \"" + Module + "/drivers/x\"",
		"drivers/internal/s/s.go": "package s",
		"drivers/x/x.go":          "package x\nfunc init() { drivers.Register[Options](\"x\", open) }",
		"drivers/x/x_test.go":     "package x\nfunc TestX(t *testing.T) { driverstest.Run(t, h) }",
		"docs/drivers/x.md":       "",
		"docs/options/x.md":       "",
	}
	faults, err := Vendors(source(good), []string{"x"})
	require.NoError(t, err)
	assert.Empty(t, faults)

	bare := map[string]string{"drivers/all/all.go": "package all", "drivers/x/x.go": "package x\nfunc f() { driverstest.Run() }"}
	faults, err = Vendors(source(bare), []string{"x"})
	require.NoError(t, err)
	assert.Equal(t, []string{
		"docs/drivers/x.md is missing",
		"docs/options/x.md is missing",
		"drivers/x does not call drivers.Register",
		"drivers/x has no test that calls driverstest.Run",
		"drivers/x is not imported by drivers/all",
	}, faults)
}
