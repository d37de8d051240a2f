// SPDX-License-Identifier: Apache-2.0

package fakeceph

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"syscall"
)

// fields is a JSON object.
type fields map[string]any

// Command implements ceph.Cluster. It knows df, osd pool get-quota and mon dump.
// EINVAL: any other.
func (c *connection) Command(ctx context.Context, command string) ([]byte, error) {
	var asked struct{ Prefix, Pool string }
	broken := json.Unmarshal([]byte(command), &asked)
	var answer []byte
	err := c.do(ctx, request{op: "command", what: cmp.Or(asked.Prefix, command)}, func() error {
		if broken != nil {
			return &refusal{syscall.EINVAL, "unparseable JSON " + command}
		}
		said, err := c.cluster.answer(asked.Prefix, asked.Pool)
		if err != nil {
			return err
		}
		answer, err = json.Marshal(said)
		return err
	})
	return answer, err
}

func (c *Cluster) answer(prefix, name string) (fields, error) {
	switch prefix {
	case "df":
		return c.df(), nil
	case "osd pool get-quota":
		if p := c.pools[name]; p != nil {
			return p.quotas(), nil
		}
		return nil, &refusal{syscall.ENOENT, "unrecognized pool '" + name + "'"}
	case "mon dump":
		return c.monitors(), nil
	case "":
		return nil, &refusal{syscall.EINVAL, "command prefix not found"}
	}
	return nil, &refusal{syscall.EINVAL, "command not known"}
}

// df counts one copy of the data.
func (c *Cluster) df() fields {
	pools := slices.SortedFunc(maps.Values(c.pools), func(a, b *pool) int { return a.id - b.id })
	var used int64
	for _, p := range pools {
		used += p.stored()
	}
	left := max(0, c.options.Bytes-used)
	list := []fields{}
	for _, p := range pools {
		list = append(list, fields{"name": p.name, "id": p.id, "stats": fields{
			"stored": p.stored(), "objects": p.objects(), "kb_used": p.stored() / 1024, "bytes_used": p.stored(),
			"percent_used": 0, "max_avail": left,
		}})
	}
	return fields{"pools": list, "stats": fields{
		"total_bytes": c.options.Bytes, "total_avail_bytes": left,
		"total_used_bytes": used, "total_used_raw_bytes": used, "num_osds": 1,
	}}
}

func (p *pool) quotas() fields {
	return fields{
		"pool_name": p.name, "pool_id": p.id, "quota_max_objects": 0, "quota_max_bytes": p.quota,
		"current_num_objects": p.objects(), "current_num_bytes": p.stored(),
	}
}

func (c *Cluster) monitors() fields {
	mons := []fields{}
	for rank, address := range c.options.Monitors {
		name := string(rune('a' + rank))
		mons = append(mons, fields{
			"rank": rank, "name": name, "addr": address + "/0", "public_addr": address + "/0",
			"public_addrs": fields{"addrvec": []fields{{"type": "v1", "addr": address, "nonce": 0}}},
		})
	}
	return fields{"epoch": 1, "fsid": c.options.FSID, "mons": mons}
}
