// SPDX-License-Identifier: Apache-2.0

package libtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// childEnv has the program of a test be the process of RunChild: its job.
const childEnv = "CINDERLIB_TEST_CHILD"

// Main is what TestMain hands to os.Exit, so that RunChild works: it runs the tests of
// m, or child in a process that RunChild has started.
func Main(m interface{ Run() int }, child func(ctx context.Context, job string) error) int {
	job, is := os.LookupEnv(childEnv)
	if !is {
		return m.Run()
	}
	if err := child(context.Background(), job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// RunChild has another process do a job, and tells whether that was killed before the
// job was done. The end of ctx kills it. That the job fails is an error.
func RunChild(ctx context.Context, job string) (killed bool, err error) {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+job)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false, nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status, ok := exit.Sys().(syscall.WaitStatus)
		if ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
			return true, nil
		}
	}
	return false, fmt.Errorf("%w: %s", err, out)
}
