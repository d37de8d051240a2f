// SPDX-License-Identifier: Apache-2.0

// Package cinderconf reads a cinder.conf and makes of it what the library wants:
// the options of each enabled backend, less those that its driver does not know.
// It is what the Python library's cinder_to_yaml does, without the YAML.
package cinderconf
