#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests that need root, a real kernel or Cinder itself, then the hermetic ones
# again as an ordinary user. Installs what it needs on Debian; --install does only that. Nothing is skipped
# for want of root, a program or a kernel feature: with CINDERLIB_SYSTEM=1 that is
# a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo; echo "-- $(date +%T) $*"; }
die() { echo "test-root: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "needs root: loop devices, mounts"

tools/install xfsprogs btrfs-progs e2fsprogs mount python3-cinder
[ "${1:-}" != --install ] || exit 0

export CINDERLIB_SYSTEM=1

say "loop devices, reflinks on XFS, a full disk"
go test -race -count=1 -timeout 15m ./connector ./connector/local ./drivers/file ./internal/blockcopy

say "Cinder's objects read what we write; many goroutines on loop devices"
go test -race -count=1 -timeout 10m -v -run '^(TestCinderReadsWhatWeWrite|TestStressWithLoopDevices)$' . | grep -v '^=== '

say "Cinder's driver of SolidFire on the simulated cluster, and ours on what it makes"
go test -race -count=1 -timeout 10m -v -run '^TestCinderDriver$' ./drivers/solidfire | grep -v '^=== '

say "functional suite on the file driver, with loop devices"
CL_FTEST_CFG=file.yaml go test -race -count=1 -timeout 10m -v ./functional/ | grep -v '^=== '
say "and with its metadata in memory_db"
CL_FTEST_CFG=file.yaml CL_FTEST_MEMORY_PERSISTENCE=false go test -race -count=1 -timeout 10m ./functional/

say "the hermetic tests as an ordinary user"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$work"
unset CINDERLIB_SYSTEM
(
	cd "$work"
	for pkg in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}}{{end}}' ./... | grep -v /archtest); do
		(cd "$pkg" && go test -c -o ./.ordinary.test .)
	done
	chmod -R a+rX "$work"
	mkdir tmp && chown nobody: tmp
	for pkg in $(find . -name .ordinary.test -printf '%h\n' | sort); do
		echo "$pkg"
		(cd "$pkg" && runuser -u nobody -- env HOME="$work/tmp" TMPDIR="$work/tmp" CI= ./.ordinary.test -test.timeout 10m -test.short | tail -n 5)
	done
)
say "done"
