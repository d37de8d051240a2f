// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package gormdb

const hasCgo = false

func sqliteFault(error) error { return nil }

func isSQLiteDuplicate(error) bool { return false }
