#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/test-vm.sh [NAME...]
#
# The tests that need a kernel with LVM, LIO, iSCSI and multipath: in VMs of tools/vm,
# two at a time. Without names all run:
#
#   functional  the functional suite on LVM: thin, thick, and by two paths
#   user        some of it on thin volumes, as an ordinary user: sudo takes a second here
#   connector   the tests of the connector on the kernel
#   driver      those of the target and of the driver
#   library     counts, data, lost exports, sweeps, trouble, stress (internal/vmtest)
#   machines    array and host in two VMs
#
# CINDERLIB_VM_SWEEP=all has the sweeps take every step and not one in four, and runs
# the driver's conformance suite, and the benchmark beside the bare programs, too. The
# whole output of each is in bin/vm/NAME.log.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo; echo "-- $(date +%T) $*"; }
die() { echo "test-vm: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "needs root"

names=("$@")
[ $# -gt 0 ] || names=(functional library connector driver user machines)
bin=$(mktemp -d)
logs=$PWD/bin/vm
mkdir -p "$logs"
declare -A running=() # names by process group
# shellcheck disable=SC2154
trap 'for p in "${!running[@]}"; do kill -TERM -- "-$p" || :; done 2>/dev/null; rm -rf "$bin"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
chmod 755 "$bin"

say "installing, building"
tools/vm/setup uml
for pkg in functional internal/vmtest internal/lio drivers/lvm connector/iscsi; do
	go test -c -o "$bin/${pkg##*/}.test" "./$pkg"
done

# What runs in each VM, and its options.
addresses='ip addr add 10.99.0.1/32 dev lo; ip addr add 10.99.1.1/32 dev lo'
# shellcheck disable=SC2016 # for the shell in the VM
left='[ -z "$(lvs --noheadings -o lv_name | grep -v -- -pool)$(ls -d /sys/kernel/config/target/iscsi/iqn.* /sys/class/iscsi_session/* /sys/block/sd* /etc/iscsi/nodes/* 2>/dev/null)$(dmsetup ls --target multipath | grep -v "^No devices")" ] && echo "nothing is left on the host"'
run() { # NAME
	local vm=tools/vm/run conformance=VMConformance bench=none minutes=30 rc=0
	[ "${CINDERLIB_VM_SWEEP:-}" != all ] || conformance=none bench=. minutes=60
	export CI=${CI:-} CINDERLIB_VM=1 CINDERLIB_VM_SWEEP=${CINDERLIB_VM_SWEEP:-}
	case $1 in
	functional) $vm -s -t 1800 -k 8G -k 10G -k 8G -- bash -c "
		set -e -- \$VM_DISKS; vgcreate -q cinder-volumes \$1; vgcreate -q thick-volumes \$2; vgcreate -q multipath-volumes \$3
		$addresses; export CL_FTEST_CFG=$PWD/functional/lvm-vm.yaml; cd functional
		$bin/functional.test -test.v -test.timeout 28m; $left" ;;
	user) $vm -s -u -t 1200 -- bash -c "
		set -e; cd /tmp; sudo -n $PWD/tools/lvm-prepare.sh cinder-volumes 8G /var/tmp/vg; cd $PWD/functional
		export CL_FTEST_CFG=$PWD/functional/lvm.yaml
		$bin/functional.test -test.v -test.timeout 18m -test.run 'TestFunctional/test_(stats|create_delete_volume|create_delete_snapshot|disk_io)_on'" ;;
	connector) $vm -s -t 1000 -k 1G -k 1G -- bash -c "cd /tmp && exec $bin/iscsi.test -test.v -test.run VM -test.timeout 15m" ;;
	driver)
		$vm -s -t 600 -k 1G -k 1G -- bash -c "cd /tmp && exec $bin/lio.test -test.v -test.run Kernel" || rc=1
		$vm -s -t 1800 -- bash -c "cd /tmp && exec $bin/lvm.test -test.v -test.run VM -test.skip '$conformance' -test.timeout 28m" || rc=1
		return $rc ;;
	library) $vm -s -t $((minutes * 60)) -k 12G -- bash -c "
		set -e; vgcreate -q cinder-volumes \$VM_DISKS; $addresses; cd /tmp
		$bin/vmtest.test -test.v -test.timeout $((minutes - 2))m -test.skip 'Machine|Ceph' -test.bench $bench -test.benchtime 3x; $left" ;;
	machines) machines ;;
	*) die "there is no $1" ;;
	esac
}

machines() {
	local shared=$bin/shared net=cinderlib-$$
	mkdir -p "$shared"
	export CINDERLIB_VM_SHARED=$shared CINDERLIB_VM_ADDRESS=10.98.0.1
	CINDERLIB_VM_MACHINE=array tools/vm/run -s -t 400 -k 6G -d "$shared" -n "$net=10.98.0.1/24" -- bash -c "
		set -e; vgcreate -q cinder-volumes \$VM_DISKS; cd /tmp; $bin/vmtest.test -test.v -test.run ArrayMachine" &
	local array=$! rc=0
	CINDERLIB_VM_MACHINE=host tools/vm/run -s -t 400 -d "$shared" -n "$net=10.98.0.2/24" -- bash -c "
		cd /tmp; $bin/vmtest.test -test.v -test.run HostMachine" || rc=$?
	wait $array || rc=$?
	return $rc
}

# One job; what is worth it is shown as it comes.
job() { # NAME
	set +e
	run "$1" 2>&1 | tee "$logs/$1.log" | grep -a --line-buffered -E '^=== RUN +TestFunctional/|^ *--- |^ +[a-z_]+_test.go:[0-9]+: |^(PASS|FAIL|panic)|nothing is left|^vm: |^ *Error' | sed -u "s/^/[$1] /"
	return "${PIPESTATUS[0]}"
}

failed=()
wait_one() { # the first that ends
	local pid rc=0 name
	wait -n -p pid || rc=$?
	name=${running[$pid]}
	unset "running[$pid]"
	if [ $rc = 0 ]; then say "$name passed"; else
		say "$name FAILED; the end of $logs/$name.log:"
		tail -n 60 "$logs/$name.log"
		failed+=("$name")
	fi
}
for name in "${names[@]}"; do
	[ ${#running[@]} -lt 2 ] || wait_one
	say "$name"
	set -m # a group of its own: what ends this script ends the VMs
	job "$name" &
	running[$!]=$name
	set +m
done
while [ ${#running[@]} -gt 0 ]; do wait_one; done
if grep -ahE '^ *--- SKIP' "$logs"/*.log | grep -v Machine; then
	die "something was skipped"
fi
[ ${#failed[@]} = 0 ] || die "failed: ${failed[*]}"
say "done"
