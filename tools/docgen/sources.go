// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"regexp"
	"strings"
)

// sources is the code that pages may show.
type sources struct {
	tree     fs.FS
	examples map[string]string // bodies, by name
	silent   map[string]bool   // examples without an Output, which no test runs
}

// readSources reads the Examples of the root package.
func readSources(tree fs.FS) (*sources, error) {
	s := &sources{tree: tree, examples: map[string]string{}, silent: map[string]bool{}}
	files, err := fs.Glob(tree, "*_test.go")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := fs.ReadFile(tree, file)
		if err != nil {
			return nil, err
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Example") {
				s.add(f, parsed, set.Position(f.Body.Lbrace).Offset+1, set.Position(f.Body.Rbrace).Offset, set, text)
			}
		}
	}
	return s, nil
}

// preamble is how most Examples begin. Pages leave it out: what ctx, lib and
// backend are they say in a sentence.
var preamble = regexp.MustCompile(`^ctx := context\.Background\(\)\n\w+, \w+, done := newExample\(ctx\)\ndefer done\(\)\n+`)

var output = regexp.MustCompile(`(?i)^//\s*(unordered )?output:`)

// add takes the body of an Example, from and to in the text, less its Output.
func (s *sources) add(f *ast.FuncDecl, file *ast.File, from, to int, set *token.FileSet, text []byte) {
	s.silent[f.Name.Name] = true
	for _, c := range file.Comments {
		at := set.Position(c.Pos()).Offset
		if at >= from && at < to && output.MatchString(c.List[0].Text) {
			s.silent[f.Name.Name] = false
			to = at
		}
	}
	s.examples[f.Name.Name] = preamble.ReplaceAllString(dedent(string(text[from:to])), "")
}

// code gives the code that a comment names.
func (s *sources) code(kind, name string) (string, error) {
	if kind == "code" {
		return s.region(name)
	}
	body, ok := s.examples[name]
	switch {
	case !ok:
		return "", fmt.Errorf("there is no %s", name)
	case s.silent[name]:
		return "", fmt.Errorf("%s has no Output, so no test runs it", name)
	}
	return body, nil
}

// region gives a part of a Go file: FILE:REGION.
func (s *sources) region(name string) (string, error) {
	file, region, ok := strings.Cut(name, ":")
	if !ok || !strings.HasSuffix(file, ".go") {
		return "", fmt.Errorf("%q is not FILE.go:REGION", name)
	}
	text, err := fs.ReadFile(s.tree, file)
	if err != nil {
		return "", err
	}
	var lines []string
	inside, found := false, false
	for line := range bytes.Lines(text) {
		switch mark, is := strings.CutPrefix(strings.TrimSpace(string(line)), "// docgen: "); {
		case is && mark == region:
			inside, found = true, true
		case is && mark == "end":
			inside = false
		case inside:
			lines = append(lines, string(line))
		}
	}
	switch {
	case !found:
		return "", fmt.Errorf("%s has no region %s", file, region)
	case inside:
		return "", fmt.Errorf("region %s of %s has no end", region, file)
	}
	return dedent(strings.Join(lines, "")), nil
}

// dedent takes away the tabs that all lines begin with, and empty lines at both
// ends.
func dedent(text string) string {
	text = strings.Trim(text, "\n")
	lines := strings.Split(strings.TrimRight(text, " \t\n"), "\n")
	least := -1
	for _, l := range lines {
		if strings.TrimSpace(l) == "" {
			continue
		}
		if tabs := len(l) - len(strings.TrimLeft(l, "\t")); least < 0 || tabs < least {
			least = tabs
		}
	}
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, strings.Repeat("\t", min(max(least, 0), len(l))))
	}
	return strings.Join(lines, "\n")
}
