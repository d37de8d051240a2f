// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"net"
	"strconv"
	"strings"

	"github.com/gocinder/cinderlib/internal/arraysim"
	"github.com/gocinder/cinderlib/internal/arraysim/xtremio"
)

func xtremioFlags(f *flag.FlagSet) func(arraysim.Data) (arraysim.Array, error) {
	var o xtremio.Options
	var c xtremio.ClusterOptions
	var portals string
	f.StringVar(&o.Version, "xms", "6.2.1", "`version` of the management server: 3.0.3 has the first interface only, 4.0.10 a filter without \"or\"")
	f.StringVar(&c.Name, "name", "brick1", "`name` of the cluster")
	f.StringVar(&c.CHAP, "chap", "disabled", "`mode` of CHAP: disabled, initiator, mutual")
	f.StringVar(&c.DiscoveryCHAP, "discovery-chap", "disabled", "`mode` of CHAP in discovery")
	f.StringVar(&portals, "portals", "127.0.0.1/8", "`addresses` of iSCSI portals with the length of their prefixes, by commas; each has a target of its own")
	f.BoolVar(&o.DeleteMapped, "delete-mapped", false, "let mapped volumes be deleted")
	f.BoolVar(&o.EmptyAnswers, "empty", false, "answer nothing to what changes and deletes")
	return func(data arraysim.Data) (arraysim.Array, error) {
		for a := range strings.SplitSeq(portals, ",") {
			c.Portals = append(c.Portals, xtremio.Portal{Address: a})
		}
		_, none := data.(arraysim.NoData)
		o.Clusters, o.Data, o.LongNAA = []xtremio.ClusterOptions{c}, data, !none
		return xtremio.New(o)
	}
}

func xtremioStanza(s served) []string {
	lines := []string{
		"volume_backend_name: xtremio",
		"volume_driver: cinder.volume.drivers.dell_emc.xtremio.XtremIOISCSIDriver",
		"san_ip: " + strconv.Quote(net.JoinHostPort(s.host, strconv.Itoa(s.port))),
		"san_login: " + strconv.Quote(s.user),
		"san_password: " + strconv.Quote(s.password),
	}
	return append(lines, s.trust())
}
