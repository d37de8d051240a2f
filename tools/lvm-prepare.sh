#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/lvm-prepare.sh [VG [SIZE [FILE|DISK...]]]
# tools/lvm-prepare.sh -r [VG]
#
# Makes, as root, the volume group that the LVM driver is tested on: by default
# cinder-volumes, on the sparse file ./cinder-volumes of 22G behind a loop device. Each
# FILE is made with SIZE; a DISK, which must be blank, is taken whole. A group that is
# there already stays as it is; after a reboot the files get their loop devices again.
# With -r the group goes with all its volumes, unless one is in use, and its loop devices
# and files with it: but only what this script made. Installs LVM on Debian.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
export LVM_SUPPRESS_FD_WARNINGS=1
die() { echo "lvm-prepare: $*" >&2; exit 1; }
usage() { sed -n '4,5s/^# /usage: /p' "$0" >&2; exit 2; }

remove=''
while getopts r o; do
	case $o in
	r) remove=yes ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
vg=${1:-cinder-volumes} size=${2:-22G} places=("${@:3}")
[ ${#places[@]} -gt 0 ] || places=("$vg")
[ -z "$remove" ] || [ $# -le 1 ] || usage
[[ $vg =~ ^[a-zA-Z0-9_+.][a-zA-Z0-9_+.-]*$ ]] || die "$vg cannot be the name of a volume group"
[ "$(id -u)" = 0 ] || die "needs root"

if ! command -v vgcreate >/dev/null || ! command -v thin_check >/dev/null; then
	{
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			lvm2 thin-provisioning-tools
	} >&2
fi

# A group of this script has this tag, and $tag.INODE for each file that it made.
tag=cinderlib
exists() { vgs "$vg" &>/dev/null; }
has_tag() { vgs --noheadings -o vg_tags "$vg" | tr -d ' ' | tr , '\n' | grep -qx "$1"; }

made_loops=() made_files=()
undo() {
	[ ${#made_loops[@]} = 0 ] || losetup -d "${made_loops[@]}"
	[ ${#made_files[@]} = 0 ] || rm -f "${made_files[@]}"
}
trap undo EXIT
add_loop() { # FILE; sets loop
	loop=$(losetup -f --show "$1")
	made_loops+=("$loop")
}

# The group may be on files that lost their loop devices.
return_files() {
	local f
	for f in "${places[@]}"; do
		[ -f "$f" ] && [ "$(blkid -p -o value -s TYPE "$f")" = LVM2_member ] && [ -z "$(losetup -j "$f")" ] || continue
		add_loop "$f"
		[ "$(pvs --noheadings -o vg_name "$loop" | tr -d ' ')" = "$vg" ] || die "$f is not of $vg"
	done
	if exists; then
		made_loops=() # they stay
		vgchange -q -ay "$vg"
	fi
}

create() {
	local p loop devices=() tags=(--addtag "$tag")
	for p in "${places[@]}"; do
		[ -b "$p" ] || [ ! -e "$p" ] || die "$p is there already"
	done
	for p in "${places[@]}"; do
		if [ ! -b "$p" ]; then
			made_files+=("$p")
			truncate -s "$size" -- "$p"
			add_loop "$p"
			tags+=(--addtag "$tag.$(losetup -n -O BACK-INO "$loop" | tr -d ' ')")
			p=$loop
		fi
		devices+=("$p")
	done
	vgcreate "${tags[@]}" "$vg" "${devices[@]}" </dev/null # asks, and takes no for an answer, before it wipes
	made_loops=() made_files=()
}

remove() {
	local pv pvs inode open loops=() files=()
	has_tag "$tag" || die "did not make $vg"
	# A thin pool is in use by its own volumes.
	open=$(lvs --noheadings -o lv_name -S 'lv_device_open=1 && segtype!=thin-pool' "$vg" | xargs)
	[ -z "$open" ] || die "in use: $open"
	mapfile -t pvs < <(vgs --noheadings -o pv_name "$vg" | tr -d ' ')
	for pv in "${pvs[@]}"; do
		[[ $pv == /dev/loop* ]] || continue
		inode=$(losetup -n -O BACK-INO "$pv" | tr -d ' ')
		has_tag "$tag.$inode" || continue
		loops+=("$pv")
		files+=("$(losetup -n -O BACK-FILE "$pv")")
	done
	vgremove -q -f -y "$vg"
	pvremove -q "${pvs[@]}"
	[ ${#loops[@]} = 0 ] || losetup -d "${loops[@]}"
	[ ${#files[@]} = 0 ] || rm -f -- "${files[@]}"
}

exists || return_files
if [ -n "$remove" ]; then
	if exists; then remove; else echo "there is no volume group $vg"; fi
elif exists; then
	echo "volume group $vg is there already"
else
	create
fi
