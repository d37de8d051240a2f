// SPDX-License-Identifier: Apache-2.0

// Package archtest holds the rules of the source tree that a machine can check:
// who may import whom, which modules are used, what every driver must bring
// along, what every file begins with. docs/architecture.md explains them. The
// rules are functions of a graph or a file tree, so that its own tests see them
// fail; TestTree applies them to this module.
package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the path of this module.
const Module = "github.com/gocinder/cinderlib"

// Package is one package of this module, as go list sees it.
type Package struct {
	Path        string   // below the module: drivers/file; the root is "."
	Imports     []string // of its production files; ours as Path has it
	TestImports []string // of its tests
	Cgo         bool     // it has C in files of its own
}

// room is what a package may be, by its path.
type room string

const (
	root           room = "root"
	functional     room = "functional"
	driverPort     room = "drivers"
	driversShared  room = "drivers/internal"
	driversAll     room = "drivers/all"
	vendor         room = "drivers/<vendor>"
	connectorPort  room = "connector"
	connShared     room = "connector/internal"
	transport      room = "connector/<transport>"
	storePort      room = "persistence"
	store          room = "persistence/<store>"
	driverSuite    room = "driverstest"
	connectorSuite room = "connectortest"
	storeSuite     room = "persistencetest"
	leaf           room = "internal"
	tool           room = "internal tool"
	unknown        room = "unknown"
)

// tools are packages that import upward: simulations, programs and tests, which
// no production code imports.
var tools = []string{
	"drivers/rbd/internal/cephtest", "drivers/rbd/internal/fakeceph",
	"internal/archtest", "internal/arraysim", "internal/arraytest", "internal/demo", "internal/fakehost", "internal/jsonstore", "internal/libtest", "internal/mysqltest",
	"internal/vmtest",
	"tools",
}

func roomOf(path string) room {
	if slices.ContainsFunc(tools, func(t string) bool { return under(path, t) }) {
		return tool
	}
	first, rest, below := strings.Cut(path, "/")
	second, _, _ := strings.Cut(rest, "/")
	switch first {
	case ".":
		return root
	case "functional":
		return functional
	case "internal":
		return leaf
	case "drivers", "connector", "persistence":
	default:
		return unknown
	}
	port := map[string]struct{ contract, shared, child, suite room }{
		"drivers":     {driverPort, driversShared, vendor, driverSuite},
		"connector":   {connectorPort, connShared, transport, connectorSuite},
		"persistence": {storePort, store, store, storeSuite},
	}[first]
	switch {
	case !below:
		return port.contract
	case second == first+"test":
		return port.suite
	case second == "internal":
		return port.shared
	case first == "drivers" && second == "all":
		return driversAll
	}
	return port.child
}

// arrows has whom each room's production code may import. The packages of one
// child (drivers/lvm, drivers/lvm/api) may import one another.
var arrows = map[room][]room{
	root:           {storePort, driverPort, connectorPort, transport, leaf},
	driverPort:     {connectorPort, leaf},
	driversShared:  {driverPort, driversShared, connectorPort, leaf},
	driversAll:     {vendor},
	vendor:         {driverPort, driversShared, connectorPort, leaf},
	connectorPort:  {leaf},
	connShared:     {connectorPort, connShared, leaf},
	transport:      {connectorPort, connShared, leaf},
	storePort:      {driverPort, connectorPort, leaf},
	store:          {storePort, driverPort, connectorPort, leaf},
	driverSuite:    {driverPort, connectorPort, leaf},
	connectorSuite: {connectorPort, leaf},
	storeSuite:     {storePort, driverPort, connectorPort, leaf},
	leaf:           {leaf},
	functional:     {root, driversAll, driverPort, connectorPort, storePort},
	tool:           {root, storePort, store, driverPort, driversAll, vendor, connectorPort, transport, leaf, tool},
}

// besides are single packages that a room may import besides.
var besides = map[room][]string{
	root: {"persistence/memory"}, // the default store
	// It reads cinder.conf files too; memory_db is one of its stores; it tries simulated arrays.
	functional: {"internal/cinderconf", "persistence/gormdb", "internal/arraysim", "internal/arraysim/solidfire", "internal/arraysim/xtremio"},
}

// outside are packages that are not ours and have one place.
var outside = []struct {
	path  string // itself, and what is below it
	rooms []room
	only  string // the one package beside them; empty if there is none
	why   string
}{
	{"os/exec", []room{tool}, "internal/command", "commands are run by internal/command"},
	{"net/http", []room{vendor, driversShared, tool}, "internal/rest", "HTTP belongs to drivers"},
	{"database/sql", []room{store, tool}, "", "SQL belongs to stores"},
	{"gorm.io", []room{store}, "", "SQL belongs to stores"},
	{"gopkg.in/yaml.v3", []room{functional, tool}, "", "YAML is read by the functional suite and tools only"},
	{"testing", []room{driverSuite, connectorSuite, storeSuite, tool}, "", "production code does not test"},
	{"github.com/stretchr/testify", []room{driverSuite, connectorSuite, storeSuite, tool}, "", "production code does not test"},
}

// Arrows gives the imports that the rules forbid, one line each.
func Arrows(packages []Package) []string {
	var faults []string
	for _, p := range packages {
		from := roomOf(p.Path)
		if from == unknown {
			faults = append(faults, p.Path+" is in no known place of the tree")
			continue
		}
		if p.Cgo {
			faults = append(faults, p.Path+" uses cgo")
		}
		for _, to := range p.Imports {
			if why := forbidden(p.Path, from, to); why != "" {
				faults = append(faults, fmt.Sprintf("%s imports %s: %s", p.Path, to, why))
			}
		}
		if from != functional {
			continue // unit tests may import what they need
		}
		for _, to := range p.TestImports {
			if why := forbidden(p.Path, from, to); why != "" && !testOnly(to) {
				faults = append(faults, fmt.Sprintf("tests of %s import %s: %s", p.Path, to, why))
			}
		}
	}
	slices.Sort(faults)
	return faults
}

// ours tells whether a path is one of Package.Path.
func ours(path string) bool { return roomOf(path) != unknown }

func testOnly(path string) bool {
	return path == "testing" || under(path, "os/exec") || under(path, "github.com/stretchr/testify")
}

func under(path, of string) bool { return path == of || strings.HasPrefix(path, of+"/") }

// forbidden says why from must not import to; empty if it may.
func forbidden(path string, from room, to string) string {
	if !ours(to) {
		for _, o := range outside {
			if under(to, o.path) && path != o.only && !slices.Contains(o.rooms, from) {
				return o.why
			}
		}
		return ""
	}
	at := roomOf(to)
	switch {
	case to == path || slices.Contains(besides[from], to):
		return ""
	case from == at && (from == vendor || from == transport || from == store):
		if child(path) == child(to) {
			return ""
		}
		return "they are siblings"
	case slices.Contains(arrows[from], at):
		return ""
	}
	return fmt.Sprintf("%s may not import %s", from, at)
}

// child is the folder of a port that a package is in: drivers/lvm.
func child(path string) string {
	parts := strings.SplitN(path, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}

// production tells whether programs that use the library get the package.
func production(path string) bool {
	switch roomOf(path) {
	case driverSuite, connectorSuite, storeSuite, tool, functional, unknown:
		return false
	}
	return true
}

// Modules compares the modules in use with the list of those that were agreed
// on: lines of a module path and where it is used, "production" or "test".
func Modules(list string, used map[string]string) []string {
	var faults []string
	listed := map[string]string{}
	for line := range strings.Lines(list) {
		line, _, _ = strings.Cut(line, "#")
		switch fields := strings.Fields(line); {
		case len(fields) == 0:
		case len(fields) != 2 || fields[1] != "production" && fields[1] != "test":
			faults = append(faults, fmt.Sprintf("modules.txt: %q is not a module path and production or test", strings.TrimSpace(line)))
		default:
			listed[fields[0]] = fields[1]
		}
	}
	for path, where := range used {
		switch listed[path] {
		case where:
		case "":
			faults = append(faults, fmt.Sprintf("module %s (%s) is not in modules.txt; CONTRIBUTING.md says how to add a dependency", path, where))
		default:
			faults = append(faults, fmt.Sprintf("module %s is for %s, and modules.txt has it for %s", path, where, listed[path]))
		}
	}
	for path := range listed {
		if used[path] == "" {
			faults = append(faults, fmt.Sprintf("module %s is in modules.txt and not used", path))
		}
	}
	slices.Sort(faults)
	return faults
}
