// SPDX-License-Identifier: Apache-2.0

// Package functional tests real backends through the exported API: the
// functional suite of the Python library, with its tests, its names and the
// format of its configuration.
//
// Without a configuration it runs on two backends of the driver file, which need
// no array (file.yaml). What needs no attaching also runs on simulated arrays
// (arrays.yaml). For one's own array:
//
//	CL_FTEST_CFG=/etc/cinder/lvm.yaml go test -count=1 -v ./functional/
//	CL_FTEST_CFG=/etc/cinder/cinder.conf go test -count=1 -v ./functional/
//	go test -count=1 -v -run 'TestFunctional/test_extend_on_lvm' ./functional/
//
// A relative name begins in this folder. The volumes are small (1 to 5 GiB) and
// are removed; what was on the array before stays, and is not looked at. Nothing
// else should use the array meanwhile: test_stats_with_creation compares its
// figures. Give -timeout where the array is slow.
//
// # Configuration
//
// A file whose name ends in .conf is a cinder.conf: its enabled_backends are
// tested, with those of their options that the driver knows. Any other is YAML
// with these keys and no others:
//
//	# Text logs on standard output, and whether with every step.
//	logs: false
//	debug: false
//	# Decimals, in GiB, to which sizes must agree; 0 is exact. Arrays that round
//	# sizes up need it.
//	size_precision: 0
//	# Accepted, and means nothing: there is no virtual environment.
//	venv_sudo: false
//	# The arguments of NewBackend, one entry a backend.
//	backends:
//	  - volume_backend_name: lvm
//	    volume_driver: cinder.volume.drivers.lvm.LVMVolumeDriver
//	    volume_group: cinder-volumes
//	    target_protocol: iscsi
//	    target_helper: lioadm
//	  - volume_backend_name: ceph
//	    volume_driver: cinder.volume.drivers.rbd.RBDDriver
//	    rbd_user: admin
//	    rbd_pool: rbd
//	    rbd_ceph_conf: /etc/ceph/ceph.conf
//	    rbd_keyring_conf: /etc/ceph/ceph.client.admin.keyring
//
// Values of options may refer to others as $name. $state_path is a folder that
// is made for the run and removed after it, unless a cinder.conf sets it.
//
// The environment has the rest; what the YAML says wins.
//
//	CL_FTEST_CFG                 the configuration; CL_FTESTS_CFG too. A relative name
//	                             is looked for here, then in the module's folder
//	CL_FTEST_ROOT_HELPER         gives root's rights; sudo
//	CL_FTEST_MEMORY_PERSISTENCE  true: store memory; false: store memory_db
//	CL_FTEST_POOL_NAME           pool of the volumes; the backend's first
//	CL_FTEST_LOGGING             logs; false
//	CL_FTEST_DEBUG               debug; false
//	CL_FTEST_PRECISION           size_precision; 0
//
// # What may be skipped
//
// A test that a driver has no capability for is skipped and says so. So is one
// that this user or machine has no means for, such as loop devices without root;
// but not where CI=true and the user is root: there it fails.
package functional
