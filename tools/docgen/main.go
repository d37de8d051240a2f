// SPDX-License-Identifier: Apache-2.0

// Command docgen keeps the documentation true: it fills the Go blocks of the
// Markdown pages from compiled and tested code, and writes the pages that say
// what the drivers have.
//
//	go run .         # write
//	go run . -check  # only say what is not current
//
// A Go block of a page stands behind a comment that names its source:
//
//	<!-- example: ExampleVolume_Attach -->     the body of that Example of the root package,
//	                                             less its Output and the call of newExample
//	<!-- code: example_store_test.go:journal --> a region of a Go file, between
//	                                             // docgen: journal and // docgen: end
//
// A Go block without one is a fault, and so is a relative link that leads
// nowhere.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	_ "github.com/gocinder/cinderlib/drivers/all"
)

func main() {
	root := flag.String("root", "../..", "folder of the library")
	check := flag.Bool("check", false, "write nothing, and fail if a page is not current")
	flag.Parse()
	faults, err := run(*root, *check)
	if err != nil {
		faults = append(faults, err.Error())
	}
	for _, f := range faults {
		fmt.Fprintln(os.Stderr, "docgen:", f)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}

// run brings the pages of root up to date, or tells which are not, and returns
// what a person must put right.
func run(root string, check bool) ([]string, error) {
	tree := os.DirFS(root)
	have, err := pages(tree)
	if err != nil {
		return nil, err
	}
	want, err := generated(root)
	if err != nil {
		return nil, err
	}
	s, err := readSources(tree)
	if err != nil {
		return nil, err
	}
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if _, ok := want[name]; ok || isGenerated(name) {
			continue
		}
		text, wrong := fill(have[name], s)
		want[name] = text
		for _, w := range wrong {
			faults = append(faults, name+":"+w)
		}
	}
	stale, err := update(root, have, want, check)
	if err != nil {
		return nil, err
	}
	if check {
		for _, name := range stale {
			faults = append(faults, name+" is not current: make generate")
		}
	}
	return append(faults, brokenLinks(tree, want)...), nil
}

// pages reads the Markdown pages: those of the root folder and of docs.
func pages(tree fs.FS) (map[string]string, error) {
	names, err := fs.Glob(tree, "*.md")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(tree, "docs", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(name) == ".md" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for _, name := range names {
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return nil, err
		}
		texts[name] = string(text)
	}
	return texts, nil
}

// update makes the pages what they should be, and returns those that were not.
func update(root string, have, want map[string]string, check bool) ([]string, error) {
	var stale []string
	for name := range have {
		if _, ok := want[name]; !ok {
			stale = append(stale, name)
			if check {
				continue
			}
			if err := os.Remove(filepath.Join(root, name)); err != nil {
				return nil, err
			}
		}
	}
	for name, text := range want {
		if old, ok := have[name]; ok && old == text {
			continue
		}
		stale = append(stale, name)
		if check {
			continue
		}
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	slices.Sort(stale)
	return stale, nil
}

// isGenerated tells whether a page is one that docgen writes whole: one of a
// driver that is gone is removed.
func isGenerated(name string) bool { return strings.HasPrefix(name, optionsFolder+"/") }
