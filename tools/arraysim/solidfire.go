// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"strconv"
	"time"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/solidfire"
)

func solidfireFlags(f *flag.FlagSet) func(arraysim.Data) (arraysim.Array, error) {
	var o solidfire.Options
	f.StringVar(&o.Name, "name", "lab", "`name` of the cluster")
	f.StringVar(&o.APIVersion, "api", "10.0", "newest `version` of the interface")
	f.StringVar(&o.SVIP, "svip", "127.0.0.1", "storage `address`, with a port or without")
	f.IntVar(&o.ErrorStatus, "error-status", 200, "HTTP `status` of answers with an error: 200 or 500")
	f.DurationVar(&o.CloneTime, "clone-time", time.Second, "how long the job of a clone runs")
	f.IntVar(&o.CloneHidden, "clone-hidden", 0, "how many lists do not have a new clone")
	f.IntVar(&o.CreatingReads, "creating", 0, "how many lists show a new volume as creating")
	f.StringVar(&o.FirstCloneError, "first-clone-error", "", "`error` of the first clone of every new volume: xSliceNotRegistered, xNotReadyForIO")
	f.BoolVar(&o.BareAnswers, "bare", false, "answer with identifiers only, as older releases do")
	return func(data arraysim.Data) (arraysim.Array, error) {
		o.MVIP, o.Data = "127.0.0.1", data
		return solidfire.New(o)
	}
}

func solidfireStanza(s served) []string {
	lines := []string{
		"volume_backend_name: solidfire",
		"volume_driver: cinder.volume.drivers.solidfire.SolidFireDriver",
		"san_ip: " + strconv.Quote(s.host),
		"san_login: " + strconv.Quote(s.user),
		"san_password: " + strconv.Quote(s.password),
		fmt.Sprintf("sf_api_port: %d", s.port),
	}
	return append(lines, s.trust())
}
