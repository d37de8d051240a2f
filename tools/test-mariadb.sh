#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The tests that need a MariaDB, against one of their own on loopback, which ends
# with them, and those that compare with Cinder itself. As root on Debian it
# installs what is missing, and does only that with --install; nothing is skipped. CINDERLIB_MYSQL_SWEEP=all kills the
# server at every step of a verb, not at every second one. BENCH=regexp runs
# benchmarks instead.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo; echo "-- $(date +%T) $*"; }

packages=(mariadb-server-core mariadb-client-core sqlite3 python3-cinder python3-pymysql)
[ -z "${BENCH:-}" ] || packages=("${packages[@]::2}")
tools/install "${packages[@]}"
[ "${1:-}" != --install ] || exit 0

dir=$(mktemp -d "${TMPDIR:-/tmp}/mariadb.XXXXXX")
chmod 755 "$dir"
trap 'tools/mariadb stop "$dir"; rm -rf "$dir"' EXIT
say "starting MariaDB"
CINDERLIB_TEST_MYSQL=$(tools/mariadb start "$dir")
CINDERLIB_TEST_MYSQL_DIR=$dir
export CINDERLIB_TEST_MYSQL CINDERLIB_TEST_MYSQL_DIR

if [ -n "${BENCH:-}" ]; then
	go test -p 1 -run '^$' -bench "$BENCH" -benchmem .
	exit
fi

run() { go test -count=1 -timeout 20m -v "$@" | grep -Ev '^(=== |    +--- PASS|PASS$)'; }

export CINDERLIB_SYSTEM=1

say "the store"
run -race ./persistence/gormdb
unset CINDERLIB_SYSTEM

say "two processes, faults and kills in every verb"
run -race -run '^(TestProcessesMySQL|TestFaultSweepMySQL|TestKillSweepMySQL|TestTwoHostsOnOneStoreMySQL)$' .
say "the server killed in every verb"
run -run '^TestServerKillSweep$' .
say "done"
