// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	spdx     = "// SPDX-License-Identifier: Apache-2.0\n"
	maxLines = 600 // of a file that is no test
)

// skipped are folders that are not source: .git, .cache, bin, testdata.
func skipped(name string) bool {
	return name != "." && strings.HasPrefix(name, ".") || name == "bin" || name == "testdata"
}

// goFiles lists the Go files of a tree.
func goFiles(tree fs.FS) ([]string, error) {
	var files []string
	err := fs.WalkDir(tree, ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(d.Name()):
			return fs.SkipDir
		case !d.IsDir() && path.Ext(file) == ".go":
			files = append(files, file)
		}
		return nil
	})
	return files, err
}

// Files gives the Go files without the licence line, those that are too long,
// and the packages that nobody has described.
func Files(tree fs.FS) ([]string, error) {
	files, err := goFiles(tree)
	if err != nil {
		return nil, err
	}
	var faults []string
	described := map[string]bool{}
	for _, file := range files {
		text, err := fs.ReadFile(tree, file)
		if err != nil {
			return nil, err
		}
		if !bytes.HasPrefix(text, []byte(spdx)) {
			faults = append(faults, file+" does not begin with "+strings.TrimSpace(spdx))
		}
		if lines := bytes.Count(text, []byte("\n")); lines > maxLines && !strings.HasSuffix(file, "_test.go") {
			faults = append(faults, fmt.Sprintf("%s has %d lines, more than %d", file, lines, maxLines))
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return nil, err
		}
		described[path.Dir(file)] = described[path.Dir(file)] || parsed.Doc != nil
	}
	for folder, yes := range described {
		if !yes {
			faults = append(faults, "no file of "+folder+" has a package comment")
		}
	}
	slices.Sort(faults)
	return faults, nil
}

// Vendors gives what is missing of the drivers: each folder registers at least
// one, runs the conformance suite, is imported by drivers/all and has a page;
// each registered name has a page of options.
func Vendors(tree fs.FS, registered []string) ([]string, error) {
	entries, err := fs.ReadDir(tree, "drivers")
	if err != nil {
		return nil, err
	}
	all, err := imports(tree, "drivers/all")
	if err != nil {
		return nil, err
	}
	var faults []string
	for _, e := range entries {
		folder := path.Join("drivers", e.Name())
		if !e.IsDir() || roomOf(folder) != vendor || skipped(e.Name()) {
			continue
		}
		registers, err := calls(tree, folder, "drivers", "Register", false)
		if err != nil {
			return nil, err
		}
		tested, err := calls(tree, folder, "driverstest", "Run", true)
		if err != nil {
			return nil, err
		}
		if !registers {
			faults = append(faults, folder+" does not call drivers.Register")
		}
		if !tested {
			faults = append(faults, folder+" has no test that calls driverstest.Run")
		}
		if !slices.Contains(all, Module+"/"+folder) {
			faults = append(faults, folder+" is not imported by drivers/all")
		}
		faults = append(faults, needed(tree, "docs/"+folder+".md")...)
	}
	for _, name := range registered {
		faults = append(faults, needed(tree, "docs/options/"+name+".md")...)
	}
	slices.Sort(faults)
	return faults, nil
}

func needed(tree fs.FS, file string) []string {
	if _, err := fs.Stat(tree, file); err != nil {
		return []string{file + " is missing"}
	}
	return nil
}

// parse parses the Go files of one folder, its tests or the others.
func parse(tree fs.FS, folder string, tests bool) ([]*ast.File, error) {
	names, err := fs.Glob(tree, path.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") != tests {
			continue
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func imports(tree fs.FS, folder string) ([]string, error) {
	files, err := parse(tree, folder, false)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, file := range files {
		for _, i := range file.Imports {
			if p, err := strconv.Unquote(i.Path.Value); err == nil {
				list = append(list, p)
			}
		}
	}
	return list, nil
}

// calls tells whether the files of a folder call pkg.function, which may have
// type arguments.
func calls(tree fs.FS, folder, pkg, function string, tests bool) (bool, error) {
	files, err := parse(tree, folder, tests)
	if err != nil {
		return false, err
	}
	found := false
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			callee := call.Fun
			if index, ok := callee.(*ast.IndexExpr); ok {
				callee = index.X
			}
			if s, ok := callee.(*ast.SelectorExpr); ok && s.Sel.Name == function {
				x, ok := s.X.(*ast.Ident)
				found = found || ok && x.Name == pkg
			}
			return true
		})
	}
	return found, nil
}
