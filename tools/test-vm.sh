#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/test-vm.sh [NAME...]
# tools/test-vm.sh --install
#
# The tests that need a kernel with LVM, LIO, iSCSI and multipath: in VMs of tools/vm,
# two at a time. They install what they need; --install does only that. Without names
# all run:
#
#   functional  the functional suite on LVM: thin, thick, and by two paths
#   user        some of it on thin volumes, as an ordinary user: sudo takes a second here
#   connector   the tests of the connector on the kernel
#   driver      those of the target and of the driver
#   library     counts, data, lost exports, sweeps, trouble, stress (internal/vmtest)
#   machines    array and host in two VMs
#   arrays      the functional suite on simulated arrays (internal/arraysim), whose data
#               is in iSCSI targets of the kernel
#
# CINDERLIB_VM_SWEEP=all has the sweeps take every step and not one in four, and runs
# the driver's conformance suite, and the benchmark beside the bare programs, too. The
# whole output of each is in bin/vm/NAME.log.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { echo "test-vm: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die "needs root"

if [ "${1:-}" = --install ]; then exec tools/vm/setup uml; fi
names=("$@")
[ $# -gt 0 ] || names=(functional library connector driver arrays user machines)
if [ ${#names[@]} -gt 1 ]; then
	tools/vm/setup uml
	for name in "${names[@]}"; do jobs+=("$name=tools/test-vm.sh $name"); done
	exec tools/lanes "${jobs[@]}"
fi
name=${names[0]}
case $name in
functional | user) packages=(functional) ;;
connector) packages=(connector/iscsi) ;;
driver) packages=(internal/lio drivers/lvm) ;;
library | machines) packages=(internal/vmtest) ;;
arrays) packages=(functional internal/arraysim/targets) ;;
*) die "there is no $name" ;;
esac
tools/vm/setup uml
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
chmod 755 "$bin"
for p in "${packages[@]}"; do
	go test -c -o "$bin/${p##*/}.test" "./$p"
done
[ "$name" != arrays ] || go build -o "$bin/arraysim" ./tools/arraysim

# What runs in each VM, and its options.
addresses='ip addr add 10.99.0.1/32 dev lo; ip addr add 10.99.1.1/32 dev lo'
# shellcheck disable=SC2016 # for the shell in the VM
left='[ -z "$(lvs --noheadings -o lv_name | grep -v -- -pool)$(ls -d /sys/kernel/config/target/iscsi/iqn.* /sys/class/iscsi_session/* /sys/block/sd* /etc/iscsi/nodes/* 2>/dev/null)$(dmsetup ls --target multipath | grep -v "^No devices")" ] && echo "nothing is left on the host"'
run() {
	local vm=tools/vm/run conformance=VMConformance bench=none minutes=30 rc=0
	[ "${CINDERLIB_VM_SWEEP:-}" != all ] || conformance=none bench=. minutes=60
	export CI=${CI:-} CINDERLIB_VM=1 CINDERLIB_VM_SWEEP=${CINDERLIB_VM_SWEEP:-}
	case $name in
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
	arrays) arrays ;;
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

arrays() {
	# shellcheck disable=SC2016 # for the shell in the VM
	tools/vm/run -s -k 20G -t 2400 -- bash -c '
		set -e
		bin='"$bin"'
		mkfs.ext4 -q $VM_DISKS; mkdir -p /mnt/arrays /tmp/arrays; mount $VM_DISKS /mnt/arrays
		for n in 1 2 3 4; do ip addr add 10.99.0.$n/32 dev lo; done
		(cd /tmp; TMPDIR=/mnt/arrays $bin/targets.test -test.v -test.run VM)
		arrays=()
		serve() { # NAME PORT ARRAY [FLAG...]
			$bin/arraysim $3 -listen 127.0.0.1:$2 -password of-the-simulated-array -cert-dir /tmp/arrays/certs \
				-data-plane lio -data /mnt/arrays/$1 "${@:4}" >/tmp/arrays/$1.yaml &
			arrays+=($!)
			until [ -s /tmp/arrays/$1.yaml ]; do kill -0 $!; sleep 0.1; done
		}
		serve solidfire 8443 solidfire -svip 10.99.0.1 -clone-hidden 1 -creating 1
		serve xtremio 8444 xtremio -portals 10.99.0.2/24,10.99.0.3/24 -chap initiator
		serve xtremio-3 8445 xtremio -portals 10.99.0.4/24 -xms 3.0.3
		(cd functional; CL_FTEST_CFG=arrays.yaml $bin/functional.test -test.v -test.timeout 25m)
		left() { [ -z "$2" ] || { echo "left $1: $2"; exit 1; }; }
		left "on the host" "$(ls -d /sys/class/iscsi_session/* /sys/block/sd* /etc/iscsi/nodes/* 2>/dev/null)"
		left "on the arrays" "$(ls -d /mnt/arrays/{solidfire,xtremio,xtremio-3}/* 2>/dev/null)"
		kill ${arrays[@]}; for array in ${arrays[@]}; do wait $array; done
		left "in the kernel" "$(ls -d /sys/kernel/config/target/iscsi/iqn.* /sys/kernel/config/target/core/*_* 2>/dev/null)"
		echo "nothing is left on the arrays and the host"'
}

# What is worth it is shown as it comes.
mkdir -p bin/vm
log=bin/vm/$name.log rc=0
run 2>&1 | tee "$log" | grep -a --line-buffered -E '^=== RUN +TestFunctional/|^ *--- |^ +[a-z_]+_test.go:[0-9]+: |^(PASS|FAIL|panic)|nothing is left|^left |^vm: |^ *Error' || rc=${PIPESTATUS[0]}
if [ "$rc" != 0 ]; then
	echo "the end of $log:"
	tail -n 60 "$log"
	exit "$rc"
fi
if grep -aE '^ *--- SKIP' "$log" | grep -v Machine; then
	die "something was skipped"
fi
