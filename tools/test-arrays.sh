#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The functional suite on simulated arrays (internal/arraysim), in a VM of tools/vm: what
# they map are iSCSI targets of its kernel, with real data. As root on Debian 12; nothing
# is skipped. The whole output is in bin/vm/arrays.log.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo; echo "-- $(date +%T) $*"; }

say "installing, building"
tools/vm/setup uml
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/arraysim" ./tools/arraysim
go test -c -o "$bin/functional.test" ./functional
go test -c -o "$bin/targets.test" ./internal/arraysim/targets
mkdir -p bin/vm

say "arrays in a VM"
# shellcheck disable=SC2016 # for the shell in the VM
tools/vm/run -s -k 20G -t 1500 -- bash -c '
	set -e
	bin='"$bin"'
	mkfs.ext4 -q $VM_DISKS; mkdir -p /mnt/arrays /tmp/arrays; mount $VM_DISKS /mnt/arrays
	ip addr add 10.99.0.1/32 dev lo
	(cd /tmp; CINDERLIB_VM=1 TMPDIR=/mnt/arrays $bin/targets.test -test.v -test.run VM)
	$bin/arraysim solidfire -listen 127.0.0.1:8443 -password of-the-simulated-array -cert-dir /tmp/arrays/certs \
		-svip 10.99.0.1 -data-plane lio -data /mnt/arrays/solidfire -clone-hidden 1 -creating 1 >/tmp/arrays/solidfire.yaml &
	array=$!
	until [ -s /tmp/arrays/solidfire.yaml ]; do sleep 0.1; done
	(cd functional; CL_FTEST_CFG=arrays.yaml $bin/functional.test -test.v -test.timeout 20m)
	left() { [ -z "$2" ] || { echo "left $1: $2"; exit 1; }; }
	left "on the host" "$(ls -d /sys/class/iscsi_session/* /sys/block/sd* /etc/iscsi/nodes/* 2>/dev/null)"
	left "on the array" "$(ls /mnt/arrays/solidfire)"
	kill $array; wait $array
	left "in the kernel" "$(ls -d /sys/kernel/config/target/iscsi/iqn.* /sys/kernel/config/target/core/*_* 2>/dev/null)"
	echo "nothing is left on the arrays and the host"' 2>&1 | tee bin/vm/arrays.log |
	grep -a --line-buffered -E '^=== RUN +TestFunctional/|^ *--- |^ +[a-z_]+_test.go:[0-9]+: |^(PASS|FAIL|panic)|nothing is left|^left |^vm: |^ *Error'
if grep -a -E '^ *--- SKIP' bin/vm/arrays.log; then
	echo "test-arrays: something was skipped" >&2
	exit 1
fi
say "done"
