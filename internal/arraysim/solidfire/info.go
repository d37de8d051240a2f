// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"fmt"
	"slices"
)

func getClusterInfo(c *call) (any, *Error) {
	o := c.options
	return map[string]any{"clusterInfo": map[string]any{
		"name": o.Name, "uuid": o.UUID, "uniqueID": o.UniqueID, "mvip": o.MVIP, "svip": o.SVIP,
		"mvipNodeID": 1, "svipNodeID": 1, "repCount": 2, "ensemble": []string{o.MVIP},
		"encryptionAtRestState": "disabled", "attributes": emptyObject,
	}}, nil
}

// getClusterVersionInfo has a build number of a release there was.
func getClusterVersionInfo(c *call) (any, *Error) {
	software := c.options.APIVersion + ".0.150"
	return map[string]any{
		"clusterAPIVersion": c.options.APIVersion, "clusterVersion": software, "clusterVersionInfo": []any{},
		"softwareVersionInfo": map[string]any{
			"currentVersion": software, "pendingVersion": software, "nodeID": 0, "packageName": "", "startTime": "",
		},
	}, nil
}

func getAPI(c *call) (any, *Error) {
	newest, _ := parseVersion(c.options.APIVersion)
	var supported []string
	for major := 1; major <= newest.major; major++ {
		supported = append(supported, fmt.Sprintf("%d.0", major))
	}
	if !slices.Contains(supported, c.options.APIVersion) {
		supported = append(supported, c.options.APIVersion)
	}
	return map[string]any{"currentVersion": c.options.APIVersion, "supportedVersions": orEmpty(supported)}, nil
}

// getLimits has the names of the interface's reference, which no client confirms.
func getLimits(c *call) (any, *Error) {
	l := &c.options.Limits
	return map[string]any{
		"accountCountMax":                        l.Accounts,
		"accountNameLengthMin":                   1,
		"accountNameLengthMax":                   l.AccountName,
		"secretLengthMin":                        l.SecretMin,
		"secretLengthMax":                        l.SecretMax,
		"volumeNameLengthMin":                    1,
		"volumeNameLengthMax":                    l.VolumeName,
		"volumeCountMax":                         l.Volumes,
		"volumesPerAccountCountMax":              l.VolumesPerAccount,
		"volumeSizeMin":                          l.VolumeSizeMin,
		"volumeSizeMax":                          l.VolumeSizeMax,
		"volumeMinIOPSMin":                       l.MinIOPSMin,
		"volumeMinIOPSMax":                       l.MinIOPSMax,
		"volumeMaxIOPSMin":                       l.MaxIOPSMin,
		"volumeMaxIOPSMax":                       l.MaxIOPSMax,
		"volumeBurstIOPSMin":                     l.BurstIOPSMin,
		"volumeBurstIOPSMax":                     l.BurstIOPSMax,
		"snapshotsPerVolumeMax":                  l.SnapshotsPerVolume,
		"snapshotNameLengthMax":                  l.SnapshotName,
		"volumesPerGroupSnapshotMax":             l.VolumesPerGroupSnapshot,
		"cloneJobsPerVolumeMax":                  l.CloneJobsPerVolume,
		"volumeAccessGroupCountMax":              l.VolumeAccessGroups,
		"volumeAccessGroupNameLengthMin":         1,
		"volumeAccessGroupNameLengthMax":         l.GroupName,
		"volumesPerVolumeAccessGroupCountMax":    l.VolumesPerGroup,
		"initiatorsPerVolumeAccessGroupCountMax": l.InitiatorsPerGroup,
		"volumeAccessGroupsPerVolumeCountMax":    l.GroupsPerVolume,
		"volumeAccessGroupsPerInitiatorCountMax": l.GroupsPerInitiator,
		"initiatorNameLengthMax":                 l.InitiatorName,
		"clusterPairsCountMax":                   l.ClusterPairs,
	}, nil
}

func listClusterPairs(*call) (any, *Error) {
	return map[string]any{"clusterPairs": []any{}}, nil
}
