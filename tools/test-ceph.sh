#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/test-ceph.sh [NAME...]
# tools/test-ceph.sh --install
#
# The tests that need Ceph, each with a cluster of its own that ends with them. As root
# on Debian they install what is missing, and --install does only that. Nothing is
# skipped. Without names all run:
#
#   host  on this host: librbd and the driver, faults and kills at every call, daemons
#         that stop, with clones of version 1; then librbd with those of version 2
#   vm    in a VM with a cluster in it, by the kernel and by rbd-nbd: the connector in
#         trouble, the functional suite, data
#
# CINDERLIB_CEPH_SWEEP=all has the sweeps take every step and not one in eight. BENCH=regexp
# runs benchmarks instead. The whole output of the VM is in bin/vm/ceph.log.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo; echo "-- $(date +%T) $*"; }
if [ "${1:-}" = --install ]; then exec tools/ceph/up --install; fi
names=("$@")
[ $# -gt 0 ] || names=(host vm)
for name in "${names[@]}"; do
	case $name in host | vm) ;; *) echo "test-ceph: there is no $name" >&2; exit 1 ;; esac
done
if [ ${#names[@]} -gt 1 ]; then # at the same time: the one waits for disks, the other computes
	tools/ceph/up --install
	tools/vm/setup uml
	exec tools/lanes "host=tools/test-ceph.sh host" "vm=tools/test-ceph.sh vm"
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/ceph.XXXXXX")
chmod 755 "$dir" # an ordinary user runs what is in it
trap 'tools/ceph/down --remove "$dir/cluster"; rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

limit=25m # of a package: librbd has calls that never return, seldom; Go then tells which
[ "${CINDERLIB_CEPH_SWEEP:-}" != all ] || limit=2h
run() { go test -count=1 -p 1 -timeout $limit -v "$@" | grep -a --line-buffered -Ev '^(=== |    +--- PASS|PASS$)'; }

host() {
	say "starting Ceph"
	set -a
	eval "$(tools/ceph/up "$dir/cluster")"
	set +a
	export CINDERLIB_CEPH_CONF=$CEPH_CONF CINDERLIB_CEPH_DIR=$dir/cluster
	if [ -n "${BENCH:-}" ]; then
		go test -p 1 -run '^$' -bench "$BENCH" -benchmem -benchtime 3x ./drivers/rbd
		return
	fi
	say "librbd"
	run -race -run Ceph ./drivers/rbd/internal/librbd
	say "the driver"
	run -race -run Ceph ./drivers/rbd
	say "clones of version 2"
	ceph -n client.admin -k "$CEPH_ADMIN_KEYRING" osd set-require-min-compat-client mimic
	CINDERLIB_CEPH_CLONE=2 run -run CephContract ./drivers/rbd/internal/librbd
	run -run CephDeletionOrders ./drivers/rbd
	tools/ceph/down --remove "$dir/cluster"
}

vm() {
	say "in a VM"
	mkdir -p bin/vm
	for pkg in functional internal/vmtest connector/rbd; do
		go test -c -o "$dir/${pkg##*/}.test" "./$pkg"
	done
	# shellcheck disable=SC2016 # for the shell in the VM
	tools/vm/run -s -r 3000 -k 12G -t 1800 -- bash -c '
		set -e
		mkfs.ext4 -q $VM_DISKS; mkdir /mnt/ceph; mount $VM_DISKS /mnt/ceph
		export $(CEPH_POOLS="volumes journaled" tools/ceph/up /mnt/ceph/cluster)
		sed "s/^\[global\]/&\nrbd default features = 125/" $CEPH_CONF >/mnt/ceph/journaled.conf
		export CINDERLIB_VM=1
		'"$dir"'/rbd.test -test.v -test.run VMCeph -test.timeout 15m
		(cd functional; CL_FTEST_CFG=ceph-vm.yaml '"$dir"'/functional.test -test.v -test.timeout 28m)
		'"$dir"'/vmtest.test -test.v -test.run Ceph
		for pool in volumes journaled; do
			left=$(rbd --id cinder ls $pool; rbd --id cinder trash ls $pool)
			[ -z "$left" ] || { echo "left in $pool: $left"; exit 1; }
		done
		[ -z "$(ls /sys/bus/rbd/devices; cat /sys/block/nbd*/pid 2>/dev/null; ls /run/cinderlib* 2>/dev/null)" ]
		echo "nothing is left in the pools and on the host"
		tools/ceph/down /mnt/ceph/cluster' 2>&1 | tee bin/vm/ceph.log |
		grep -a --line-buffered -E '^=== RUN +TestFunctional/|^ *--- |^ +[a-z_]+_test.go:[0-9]+: |^(PASS|FAIL|panic)|left in|nothing is left|^vm: |^ceph |^ *Error'
	if grep -a -E '^ *--- SKIP' bin/vm/ceph.log; then
		echo "test-ceph: something was skipped" >&2
		exit 1
	fi
}

tools/ceph/up --install
[ "${names[0]}" = host ] || tools/vm/setup uml
"${names[0]}"
say "done"
