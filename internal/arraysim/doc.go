// SPDX-License-Identifier: Apache-2.0

// Package arraysim puts simulated storage arrays on the network, for tests and
// for programs of others that speak to one. What an array is and answers is an
// Array, in a package of its own below this one; it is written from the array's
// interface and knows no client. Here is what all arrays with JSON over HTTP
// share: the Server with its record of requests and its faults, TLS, the state
// in a file, and Data, where an array's bytes are.
//
// A test begins with Start:
//
//	cluster, err := solidfire.New(solidfire.Options{})
//	require.NoError(t, err)
//	sim := arraysim.Start(t, cluster, arraysim.Options{User: "admin", Password: "secret"})
//	require.NoError(t, sim.AddFault(arraysim.Fault{Operation: "CreateVolume", Kind: arraysim.DropAfter, Times: 1}))
//	// a client speaks to sim.URL and trusts sim.CAFile
//	sim.Count("CreateVolume")
//
// The program is tools/arraysim.
package arraysim
