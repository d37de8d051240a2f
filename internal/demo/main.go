// SPDX-License-Identifier: Apache-2.0

// Command demo does the library's main job on the embedded default, the driver
// file, and tells each step in a line: set up, create, attach, write, snapshot,
// clone, grow, revert, dump. Then it starts itself as a second process, which
// loads the dump and reads the data back. It needs no root, and leaves nothing.
//
//	go run ./internal/demo
//	go run ./internal/demo -cold   # only set up a backend, to be measured
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(out)
	onlyCold := flags.Bool("cold", false, "set up one backend, tell the memory that took, and exit")
	dump := flags.String("load", "", "be the second process: load this dump and check the data")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	switch {
	case *onlyCold:
		return cold(ctx, out)
	case *dump != "":
		return second(ctx, *dump, out)
	}
	return first(ctx, out)
}
