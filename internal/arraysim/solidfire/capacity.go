// SPDX-License-Identifier: Apache-2.0

package solidfire

// What the simulator makes up: initiators have written a quarter of every volume,
// a quarter of that again since each snapshot, and of what was written every other
// block is a duplicate. A volume takes a megabyte of metadata.
const (
	writtenPart      = 4
	changedPart      = 16
	duplicates       = 2
	volumeMetadata   = 1 << 20
	snapshotMetadata = 1 << 18
)

// space is what a cluster holds, in blocks of blockSize but for the bytes.
type space struct {
	provisionedBytes int64
	nonZero, zero    int64
	snapshots        int64
	unique           int64
	metadataBytes    int64
	snapshotMetadata int64 // bytes
}

// space counts deleted volumes that are not purged.
func (s *state) space() space {
	var sum space
	for _, v := range s.Volumes {
		blocks := v.TotalSize / blockSize
		sum.provisionedBytes += v.TotalSize
		sum.nonZero += blocks / writtenPart
		sum.zero += blocks - blocks/writtenPart
		sum.metadataBytes += volumeMetadata
	}
	for _, snapshot := range s.Snapshots {
		sum.snapshots += snapshot.TotalSize / blockSize / changedPart
		sum.snapshotMetadata += snapshotMetadata
	}
	sum.metadataBytes += sum.snapshotMetadata
	sum.unique = (sum.nonZero + sum.snapshots) / duplicates
	return sum
}

func (s space) usedBytes() int64 { return s.unique * blockSize }

// room refuses what needs so many bytes more when the cluster is full.
func (c *call) room(more int64) *Error {
	s, o := c.state.space(), c.options
	if c.specially(Full) || s.usedBytes() >= o.MaxUsedSpace || s.provisionedBytes+more > o.MaxOverProvisionableSpace {
		return refuse(o.FullError, "The cluster is full.")
	}
	return nil
}

func getClusterCapacity(c *call) (any, *Error) {
	s, o := c.state.space(), c.options
	return map[string]any{"clusterCapacity": map[string]any{
		"maxProvisionedSpace":          o.MaxProvisionedSpace,
		"maxOverProvisionableSpace":    o.MaxOverProvisionableSpace,
		"maxUsedSpace":                 o.MaxUsedSpace,
		"provisionedSpace":             s.provisionedBytes,
		"usedSpace":                    s.usedBytes(),
		"uniqueBlocks":                 s.unique,
		"uniqueBlocksUsedSpace":        s.usedBytes(),
		"nonZeroBlocks":                s.nonZero,
		"zeroBlocks":                   s.zero,
		"snapshotNonZeroBlocks":        s.snapshots,
		"activeBlockSpace":             s.usedBytes(),
		"usedMetadataSpace":            s.metadataBytes,
		"usedMetadataSpaceInSnapshots": s.snapshotMetadata,
		"maxUsedMetadataSpace":         o.MaxUsedSpace / 20, // 5 %, made up
		"currentIOPS":                  0,
		"averageIOPS":                  0,
		"peakIOPS":                     0,
		"maxIOPS":                      200_000, // of a cluster of four nodes
		"activeSessions":               0,
		"peakActiveSessions":           0,
		"totalOps":                     0,
		"clusterRecentIOSize":          0,
		"timestamp":                    timestamp(c.now),
	}}, nil
}

func getVolumeStats(c *call) (any, *Error) {
	id := c.needInteger("volumeID")
	if c.err != nil {
		return nil, c.err
	}
	v, refused := c.state.volume(id)
	if refused != nil {
		return nil, refused
	}
	blocks := v.TotalSize / blockSize
	return map[string]any{"volumeStats": map[string]any{
		"volumeID":           id,
		"accountID":          v.AccountID,
		"volumeAccessGroups": c.state.showVolume(v).VolumeAccessGroups,
		"volumeSize":         v.TotalSize,
		"nonZeroBlocks":      blocks / writtenPart,
		"zeroBlocks":         blocks - blocks/writtenPart,
		"readBytes":          0,
		"readOps":            0,
		"writeBytes":         0,
		"writeOps":           0,
		"actualIOPS":         0,
		"timestamp":          timestamp(c.now),
	}}, nil
}
