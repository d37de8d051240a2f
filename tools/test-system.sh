#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All tests that need root, a real kernel, MariaDB, Ceph or Cinder, two at a time. First
# it installs what they need: the VMs see this host's files.
set -euo pipefail
cd "$(dirname "$0")/.."

for part in test-root.sh test-mariadb.sh test-ceph.sh test-vm.sh; do tools/$part --install; done
jobs=(ceph-vm='tools/test-ceph.sh vm')
for name in functional library; do jobs+=("$name=tools/test-vm.sh $name"); done
jobs+=(root=tools/test-root.sh mariadb=tools/test-mariadb.sh ceph-host='tools/test-ceph.sh host')
for name in connector arrays driver user machines; do jobs+=("$name=tools/test-vm.sh $name"); done
tools/lanes "${jobs[@]}"
