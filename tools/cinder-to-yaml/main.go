// SPDX-License-Identifier: Apache-2.0

// Command cinder-to-yaml makes of a cinder.conf what this library takes: the
// backends that enabled_backends names, with those of their options that the
// drivers know.
//
//	go run ./tools/cinder-to-yaml [-go] [SRC [DST]]
//
// It writes YAML for the functional suite, or with -go a program that sets the
// backends up. SRC is /etc/cinder/cinder.conf and DST standard output where they
// are not given. DST is made readable by its owner only: it has the passwords. What
// is left out is told on standard error.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/gocinder/cinderlib/drivers"
	_ "github.com/gocinder/cinderlib/drivers/all"
	"github.com/gocinder/cinderlib/internal/cinderconf"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cinder-to-yaml:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("cinder-to-yaml", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: cinder-to-yaml [-go] [SRC [DST]]")
		flags.PrintDefaults()
	}
	source := flags.Bool("go", false, "write a Go program instead of YAML")
	if err := flags.Parse(args); err != nil {
		return err
	}
	src, dst := "/etc/cinder/cinder.conf", ""
	switch flags.NArg() {
	case 0:
	case 1:
		src = flags.Arg(0)
	case 2:
		src, dst = flags.Arg(0), flags.Arg(1)
	default:
		flags.Usage()
		return fmt.Errorf("too many arguments: %q", flags.Args()[2:])
	}
	conf, err := read(src)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(conf.Dropped)) {
		fmt.Fprintf(stderr, "backend %s: left out, the driver does not know them: %s\n", name, strings.Join(conf.Dropped[name], ", "))
	}
	var out bytes.Buffer
	if *source {
		err = writeGo(&out, conf.Backends)
	} else {
		err = writeYAML(&out, conf.Backends)
	}
	if err != nil {
		return err
	}
	if dst != "" {
		return writeFile(dst, out.Bytes())
	}
	_, err = stdout.Write(out.Bytes())
	return err
}

// writeFile keeps others from reading the passwords, also where the file is
// there.
func writeFile(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err = f.Chmod(0o600); err == nil {
		_, err = f.Write(text)
	}
	return errors.Join(err, f.Close())
}

// read converts a file. Neither the YAML nor the program has the section
// DEFAULT, so what refers to it gets its value.
func read(path string) (*cinderconf.Config, error) {
	conf, err := cinderconf.Read(path, func(driver string) ([]drivers.Option, error) {
		r, err := drivers.Lookup(driver)
		return r.Options, err
	})
	if err != nil {
		return nil, err
	}
	return conf, conf.Inline()
}

func writeYAML(w io.Writer, backends []map[string]any) error {
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(map[string]any{"backends": backends}); err != nil {
		return err
	}
	return e.Close()
}
