// SPDX-License-Identifier: Apache-2.0

// Package driverstest proves that a driver keeps the contract of drivers.Driver.
// The tests of every driver begin with it:
//
//	func TestConformance(t *testing.T) {
//		driverstest.Run(t, driverstest.Harness{
//			New: func(t *testing.T) *driverstest.Array {
//				array := startSimulator(t)
//				return &driverstest.Array{
//					Open: func(t *testing.T) drivers.Driver { return open(t, array) },
//				}
//			},
//		})
//	}
//
// It sees the driver from outside only, and the array through the optional
// functions of Array: the more of them there are, the more is proven. Env makes
// what a driver is opened with.
package driverstest
