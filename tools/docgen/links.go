// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`^#{1,6}\s+(.*)$`)
	scheme  = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
)

// brokenLinks gives the relative links of pages that lead nowhere: to no file,
// or to no heading.
func brokenLinks(tree fs.FS, pages map[string]string) []string {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		for _, l := range links(pages[name]) {
			if why := broken(tree, pages, name, l); why != "" {
				faults = append(faults, fmt.Sprintf("%s: link %s: %s", name, l, why))
			}
		}
	}
	return faults
}

func broken(tree fs.FS, pages map[string]string, page, l string) string {
	if scheme.MatchString(l) {
		return "" // not ours to check
	}
	file, anchor, _ := strings.Cut(l, "#")
	target := page
	if file != "" {
		target = path.Join(path.Dir(page), file)
	}
	text, isPage := pages[target]
	if !isPage {
		if _, err := fs.Stat(tree, target); err != nil {
			return "there is no " + target
		}
	}
	if anchor != "" && isPage && !slices.Contains(anchors(text), anchor) {
		return fmt.Sprintf("%s has no heading %s", target, anchor)
	}
	return ""
}

// prose gives the lines of a page that are not in a block, without code spans.
func prose(page string) []string {
	var lines, open []string
	for line := range strings.SplitSeq(page, "\n") {
		switch m := fence.FindStringSubmatch(line); {
		case open != nil:
			if closes(line, open) {
				open = nil
			}
		case m != nil:
			open = m
		default:
			lines = append(lines, line)
		}
	}
	return lines
}

var span = regexp.MustCompile("`[^`]*`")

func links(page string) []string {
	var list []string
	for _, line := range prose(page) {
		for _, m := range link.FindAllStringSubmatch(span.ReplaceAllString(line, "`"), -1) {
			list = append(list, m[1])
		}
	}
	return list
}

// anchors gives the anchors of the headings as GitHub makes them.
func anchors(page string) []string {
	var list []string
	count := map[string]int{}
	for _, line := range prose(page) {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		anchor := slug(m[1])
		n := count[anchor]
		count[anchor]++
		if n > 0 {
			anchor = fmt.Sprintf("%s-%d", anchor, n)
		}
		list = append(list, anchor)
	}
	return list
}

func slug(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, strings.TrimSpace(text))
}
