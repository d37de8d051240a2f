// SPDX-License-Identifier: Apache-2.0

package solidfire

// qos is what a volume may do and is guaranteed.
type qos struct {
	MinIOPS   int64            `json:"minIOPS"`
	MaxIOPS   int64            `json:"maxIOPS"`
	BurstIOPS int64            `json:"burstIOPS"`
	BurstTime int64            `json:"burstTime"` // seconds
	Curve     map[string]int64 `json:"curve"`
}

// curve is what an operation costs by its size in bytes, in hundredths of one of
// 4 KiB. It is the same for every volume.
var curve = map[string]int64{
	"4096": 100, "8192": 160, "16384": 270, "32768": 500, "65536": 1000,
	"131072": 1950, "262144": 3900, "524288": 7600, "1048576": 15000,
}

// defaultQoS is that of a volume made without.
var defaultQoS = qos{MinIOPS: 50, MaxIOPS: 15000, BurstIOPS: 15000, BurstTime: 60, Curve: curve}

// qos reads the parameter of that name and gives what it makes of old: what is
// not in it stays.
func (c *call) qos(old qos) qos {
	object, ok := c.object("qos")
	if !ok || len(object) == 0 {
		return old
	}
	inner := &params{values: object}
	limits := &c.options.Limits
	for _, f := range []struct {
		name        string
		value       *int64
		least, most int64
	}{
		{"minIOPS", &old.MinIOPS, limits.MinIOPSMin, limits.MinIOPSMax},
		{"maxIOPS", &old.MaxIOPS, limits.MaxIOPSMin, limits.MaxIOPSMax},
		{"burstIOPS", &old.BurstIOPS, limits.BurstIOPSMin, limits.BurstIOPSMax},
	} {
		n, given := inner.integer(f.name)
		if !given {
			continue
		}
		if n < f.least || n > f.most {
			inner.fail(refuse(invalidParameter, "qos: %s %d is not in the range [%d, %d]", f.name, n, f.least, f.most))
		}
		*f.value = n
	}
	if old.MinIOPS > old.MaxIOPS || old.MaxIOPS > old.BurstIOPS {
		inner.fail(refuse(invalidParameter, "qos: minIOPS %d, maxIOPS %d and burstIOPS %d must ascend", old.MinIOPS, old.MaxIOPS, old.BurstIOPS))
	}
	if inner.err != nil {
		c.fail(inner.err)
	}
	return old
}
