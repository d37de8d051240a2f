#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests that need root, a real kernel or Cinder itself, then the hermetic ones
# again as an ordinary user. Installs what it needs on Debian. Nothing is skipped
# for want of root, a program or a kernel feature: with CINDERLIB_SYSTEM=1 that is
# a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo; echo "-- $(date +%T) $*"; }
die() { echo "test-system: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "needs root: loop devices, mounts"

missing=()
command -v mkfs.xfs >/dev/null || missing+=(xfsprogs)
command -v mkfs.btrfs >/dev/null || missing+=(btrfs-progs)
command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)
command -v losetup >/dev/null || missing+=(mount)
/usr/bin/python3 -c 'import eventlet, cinder.objects' 2>/dev/null || missing+=(python3-cinder)
if [ ${#missing[@]} -gt 0 ]; then
	say "installing ${missing[*]}"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

export CINDERLIB_SYSTEM=1

say "loop devices, reflinks on XFS, a full disk"
go test -race -count=1 -timeout 15m ./connector ./connector/local ./drivers/file ./internal/blockcopy

say "Cinder's objects read what we write; many goroutines on loop devices"
go test -race -count=1 -timeout 10m -v -run '^(TestCinderReadsWhatWeWrite|TestStressWithLoopDevices)$' . | grep -v '^=== '

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
