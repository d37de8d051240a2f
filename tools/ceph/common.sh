# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What up, down and daemon share. A cluster is a directory; its daemons are named as
# Ceph names them, and each writes its process id to DIR/run/NAME.pid.
unset CEPH_ARGS CEPH_CONF CEPH_KEYRING # Ceph's programs read them

say() { echo "ceph ${0##*/}: $*" >&2; }
die() { say "$@"; exit 1; }

# What the comment at the head of the script says.
usage() { sed -n '4,/^[^#]/{/^[^#]/d;s/^# \{0,1\}//;p}' "$0"; }

locate() { # [DIR]; sets dir and conf
	dir=$(realpath -m -- "${1:-${XDG_CACHE_HOME:-$HOME/.cache}/cinderlib-ceph}")
	# Ceph's configuration gives a meaning to most of the others.
	[[ $dir =~ ^[A-Za-z0-9/._+=-]+$ ]] || die "a letter of this path is none of A-Z a-z 0-9 / . _ + = -: $dir"
	conf=$dir/ceph.conf
}

# One script at a time works on a cluster. The lock is the directory, so that no file
# stays of it. False if there is none (any more).
lock() {
	while [ -d "$dir" ]; do
		exec 9<"$dir"
		flock -w 300 9 || die "somebody else has held $dir for 300 s"
		[ "$dir" -ef /proc/self/fd/9 ] && return
	done
	return 1
}

# The command line of a daemon, by which its process is known again.
command_of() { argv=("ceph-${1%%.*}" -i "${1#*.}" -c "$conf"); } # DAEMON; sets argv

running() { # DAEMON; sets pid
	local found=() argv
	{ read -r pid <"$dir/run/$1.pid"; } 2>/dev/null || return 1
	[[ $pid =~ ^[0-9]+$ ]] || return 1
	{ mapfile -d '' found <"/proc/$pid/cmdline"; } 2>/dev/null || return 1
	command_of "$1"
	[ "${found[*]}" = "${argv[*]}" ]
}

# Whether pid is no more. Where nobody reaps it it stays a zombie, and other threads
# of its may hold its files a little longer than the first one.
gone() {
	local threads=("/proc/$pid/task"/*)
	[ ${#threads[@]} -le 1 ] && ! grep -qs '^State:.[^ZX]' "/proc/$pid/status"
}

end() { # DAEMON SIGNAL: until it is gone
	running "$1" || return 0
	kill -s "$2" "$pid" 2>/dev/null || :    # it may have ended by now
	kill -s CONT "$pid" 2>/dev/null || : # a paused one hears nothing else
	local until=$((SECONDS + 30))
	until gone; do
		if [ $SECONDS -ge $until ]; then
			[ "$2" != KILL ] || die "$1 ($pid) is still there 30 s after SIGKILL"
			say "$1 ($pid) is still there 30 s after SIG$2, killing it"
			end "$1" KILL
			return
		fi
		sleep 0.02
	done
	rm -f "$dir/run/$1.pid"
}

# The daemon puts itself into the background, when it has bound its ports.
launch() { # DAEMON
	local argv
	rm -f "$dir/run/$1.pid"
	command_of "$1"
	(
		# Nothing that the caller has open stays open in it: no pipe, no lock, no folder.
		exec </dev/null >>"$dir/log/$1.out" 2>&1
		for fd in "/proc/$BASHPID/fd"/*; do
			[ "${fd##*/}" -le 2 ] || eval "exec ${fd##*/}>&-"
		done
		cd /
		exec "${argv[@]}"
	)
}

start() { # DAEMON; a paused one goes on
	! running "$1" || { kill -s CONT "$pid" && return; }
	launch "$1" || die "$1 does not start: $(tail -n 20 "$dir/log/$1.out")"
}

admin() { # PROGRAM ARG...; within two minutes: a busy VM is slow
	timeout 120 "$1" -c "$conf" -n client.admin "${@:2}"
}

# Waits until a daemon that was started serves.
serves() { # DAEMON
	case $1 in
	mon.a) admin rados lspools ;;
	# Every pool has this object. A read waits for the OSD, if the map says it is there or not.
	osd.0) ! running mon.a || admin rados -p "$(head -n 1 "$dir/pools")" stat rbd_info ;;
	esac >>"$dir/log/commands.out" 2>&1 || die "$1 does not answer, see $dir/log"
}
