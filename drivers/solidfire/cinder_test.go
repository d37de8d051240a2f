// SPDX-License-Identifier: Apache-2.0

package solidfire

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/arraysim"
)

// TestCinderDriver has Cinder's own driver work on the simulated cluster: alone, and in
// turns with ours, so that each finds what the other has made.
func TestCinderDriver(t *testing.T) {
	t.Parallel()
	if os.Getenv("CINDERLIB_SYSTEM") != "1" {
		t.Skip("it needs Debian's python3-cinder: set CINDERLIB_SYSTEM=1")
	}
	t.Run("requests", func(t *testing.T) {
		t.Parallel()
		c := startCinder(t)
		for _, o := range operations {
			t.Run(o.name, func(t *testing.T) { c.count(t, o) })
		}
		for _, o := range cinderOperations {
			t.Run(o.name, func(t *testing.T) { c.countMore(t, o) })
		}
	})
	for name, s := range setUps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCinder(t)
			for _, pair := range []struct {
				name         string
				maker, other func(t *testing.T, l *lab) party
			}{
				{"alone", c.party, c.party},
				{"ours on what it made", c.party, ourParty},
				{"on what ours made", ourParty, c.party},
			} {
				t.Run(pair.name, func(t *testing.T) {
					l := newLab(t, s.cluster, s.options)
					l.life(t, pair.maker(t, l), pair.other(t, l))
					l.adoption(t, pair.maker(t, l), pair.other(t, l))
				})
			}
			t.Run("what they tell", func(t *testing.T) {
				l := newLab(t, s.cluster, s.options)
				l.sameAnswers(t, c.open(t, l), ourParty(t, l).(ourDriver)) //nolint:forcetypeassert // it is one
			})
		})
	}
}

func (c *cinder) party(t *testing.T, l *lab) party {
	t.Helper()
	return c.open(t, l)
}

func ourParty(t *testing.T, l *lab) party {
	t.Helper()
	return ourDriver{l.opened(t)}
}

const project = "project"

// aRecord is that of a volume of 1 GiB, which nobody has made.
func aRecord(name string) *drivers.Volume {
	return &drivers.Volume{
		ID: uuid.NewString(), Name: name, Size: 1, ProjectID: project, UserID: "user", Host: "host@solidfire#solidfire",
		Status: drivers.StatusAvailable, CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

// withSpecs gives v a type.
func withSpecs(v *drivers.Volume, specs map[string]string) *drivers.Volume {
	v.VolumeTypeID = v.ID
	v.VolumeType = &drivers.VolumeType{ID: v.ID, Name: v.ID, IsPublic: true, ExtraSpecs: specs}
	return v
}

func aSnapshot(v *drivers.Volume) *drivers.Snapshot {
	return &drivers.Snapshot{
		ID: uuid.NewString(), VolumeID: v.ID, VolumeSize: v.Size, ProjectID: v.ProjectID, UserID: v.UserID,
		Status: drivers.StatusAvailable, CreatedAt: v.CreatedAt,
	}
}

// letsIn tells whether a host gets in without CHAP.
func (l *lab) letsIn(v *drivers.Volume, h *connector.Properties) bool {
	_, err := l.data.Login(strings.Fields(v.ProviderLocation)[1], h.Initiator, "", "", 0)
	return err == nil
}

// scaled is a type whose quality of service grows with the volume.
var scaled = map[string]string{
	"minIOPS": "200", "maxIOPS": "300", "burstIOPS": "400", "scaledIOPS": "True", "scaleMin": "10", "scaleMax": "20", "scaleBurst": "30",
	"SFAttribute:of": "the type",
}

// life is that of a volume which one party makes and the other works on. Each deletes
// what the other has made.
func (l *lab) life(t *testing.T, maker, other party) {
	t.Helper()
	v := withSpecs(aRecord("a"), scaled)
	maker.create(t, v)
	l.requireVolume(t, v, &qos{200, 300, 400})
	l.write(t, maker, v, "first")
	s := aSnapshot(v)
	maker.snapshot(t, s, v)
	l.requireSnapshots(t, v, s)
	l.write(t, maker, v, "second")

	l.requireContent(t, other, v, "second")
	other.revert(t, v, s)
	l.requireContent(t, other, v, "first")
	l.requireContent(t, maker, v, "first")
	other.extend(t, v, 2)
	l.requireVolume(t, v, &qos{210, 320, 430})
	l.write(t, other, v, "third")
	other.retype(t, v, map[string]string{"minIOPS": "1", "maxIOPS": "400", "burstIOPS": "500"})
	l.requireVolume(t, v, &qos{100, 400, 500})
	assert.NotEmpty(t, l.volumeOf(t, v).attribute("retyped_at"))
	maker.retype(t, v, scaled)
	l.requireVolume(t, v, &qos{210, 320, 430})

	// A clone without a type has the quality of service of its source, if Cinder's driver
	// made it, and the cluster's own if ours did.
	var inherited *qos
	if _, is := other.(*cinderDriver); is {
		inherited = &qos{210, 320, 430}
	}
	clone, restored, larger := aRecord("clone"), aRecord("restored"), withSpecs(aRecord("larger"), scaled)
	clone.Size, larger.Size = 2, 3
	other.clone(t, clone, v)
	l.requireVolume(t, clone, inherited)
	l.requireContent(t, other, clone, "third")
	l.requireContent(t, maker, clone, "third")
	other.fromSnapshot(t, restored, s, v)
	l.requireVolume(t, restored, inherited)
	l.requireContent(t, other, restored, "first")
	other.fromSnapshot(t, larger, s, v)
	l.requireVolume(t, larger, &qos{220, 340, 460})
	l.requireContent(t, maker, larger, "first")

	second := aSnapshot(v)
	other.snapshot(t, second, v)
	l.requireSnapshots(t, v, s, second)
	maker.revert(t, v, second)
	l.requireContent(t, maker, v, "third")
	maker.removeSnapshot(t, second, v)
	l.requireSnapshots(t, v, s)
	other.removeSnapshot(t, s, v)
	l.requireSnapshots(t, v)
	other.removeSnapshot(t, s, v) // it is gone
	maker.remove(t, clone)
	maker.remove(t, restored)
	other.remove(t, larger)
	other.remove(t, v)
	maker.remove(t, v) // it is gone
	l.RequireEmpty(t, "all is deleted")
}

// adoption is the life of a volume that was there. Its name stays.
func (l *lab) adoption(t *testing.T, maker, other party) {
	t.Helper()
	ref := l.array(false).Foreign(t, 3*drivers.GiB/2)
	l.settle(t)
	v := aRecord("adopted")
	v.Size = 2
	maker.manage(t, v, ref)
	have := l.volumeOf(t, v)
	assert.Equal(t, "foreign", have.Name)
	assert.Equal(t, v.ID, have.attribute(uuidAttribute))
	assert.NotEmpty(t, have.attribute("os_imported_at"))
	l.write(t, maker, v, "old")
	l.requireContent(t, other, v, "old")

	without := v.Clone()
	without.ProviderID = ""
	other.extend(t, without, 3)
	assert.Equal(t, int64(3*drivers.GiB), l.volumeOf(t, v).TotalSize)
	s := aSnapshot(v)
	other.snapshot(t, s, v)
	maker.removeSnapshot(t, s, v)
	other.unmanage(t, v)
	assert.NotEmpty(t, l.volumeOf(t, v).attribute("os_exported_at"))

	again := v.Clone()
	again.ProviderID, again.ProviderLocation, again.ProviderAuth, again.Size = "", "", "", 3
	maker.manage(t, again, ref)
	requireSameRecord(t, v, again)
	l.requireContent(t, maker, again, "old")
	other.remove(t, again)
	l.RequireEmpty(t, "what was adopted is deleted")
}

// settle looks until no volume is being created.
func (l *lab) settle(t *testing.T) {
	t.Helper()
	for range 10 {
		if !slices.ContainsFunc(l.volumes(t), func(o volume) bool { return o.Status == creating }) {
			return
		}
	}
	require.Fail(t, "a volume stays in creation")
}

// volumeOf is what the cluster has by the ids of v.
func (l *lab) volumeOf(t *testing.T, v *drivers.Volume) *volume {
	t.Helper()
	l.settle(t)
	id, known := parseIDs(v.ProviderID, l.uuid(t))
	require.True(t, known, v.ProviderID)
	for _, o := range l.volumes(t) {
		if o.ID == id.first {
			assert.Equal(t, id.second, o.AccountID)
			return &o
		}
	}
	require.Fail(t, "it is not there", v.ProviderID)
	return nil
}

func (l *lab) uuid(t *testing.T) string {
	t.Helper()
	var found struct{ ClusterInfo cluster }
	l.ask(t, "GetClusterInfo", map[string]any{}, &found)
	return found.ClusterInfo.UUID
}

func (l *lab) option(name, otherwise string) string {
	if text, is := l.options[name].(string); is {
		return text
	}
	return otherwise
}

// requireVolume: the cluster has v as Cinder's driver would have made it. q is its
// quality of service; nil: the cluster's own.
func (l *lab) requireVolume(t *testing.T, v *drivers.Volume, q *qos) {
	t.Helper()
	have := l.volumeOf(t, v)
	if q == nil {
		q = &usual
	}
	emulates := l.options["sf_emulate_512"] != false
	var found struct{ Account account }
	l.ask(t, "GetAccountByID", map[string]any{"accountID": have.AccountID}, &found)
	prefix := l.option("sf_account_prefix", "")
	if prefix != "" {
		prefix += "-"
	}
	assert.Equal(t, prefix+project, found.Account.Username)
	assert.Equal(t, l.option("sf_volume_prefix", "UUID-")+v.ID, have.Name)
	assert.Equal(t, active, have.Status)
	assert.Equal(t, int64(v.Size)*drivers.GiB, have.TotalSize)
	assert.Equal(t, emulates, have.Enable512e)
	assert.Equal(t, q, have.QoS)
	assert.Equal(t, v.ID, have.attribute(uuidAttribute))
	assert.Equal(t, v.Name, have.attribute("cinder-name"))
	assert.Equal(t, "2026-01-02T03:04:05+00:00", have.attribute("created_at"))
	assert.Contains(t, have.Attributes, "is_clone")
	assert.Equal(t, v.ExtraSpecs()["SFAttribute:of"], have.attribute("of"))
	assert.Equal(t, l.option("sf_svip", "10.0.0.9")+":3260 "+have.IQN+" 0", v.ProviderLocation)
	assert.Equal(t, emulates, v.ProviderGeometry == "")
}

// requireSnapshots: v has these and no others.
func (l *lab) requireSnapshots(t *testing.T, v *drivers.Volume, want ...*drivers.Snapshot) {
	t.Helper()
	var names, ids []string
	for _, s := range want {
		names, ids = append(names, l.option("sf_volume_prefix", "UUID-")+s.ID), append(ids, s.ProviderID)
	}
	var have, of []string
	for _, s := range l.snapshots(t) {
		have, of = append(have, s.Name), append(of, strconv.FormatInt(s.ID, 10)+" "+strings.Fields(v.ProviderID)[0]+" "+l.uuid(t))
	}
	assert.Equal(t, names, have)
	assert.Equal(t, ids, of)
}

const place = 4 << 20 // where tests write

// disk is what a host gets at with the answer of either driver.
func (l *lab) disk(t *testing.T, info *connector.ConnInfo, h *connector.Properties) *arraysim.Disk {
	t.Helper()
	require.Equal(t, connector.ProtocolISCSI, info.Protocol)
	data, ok := info.Data.(*connector.ISCSIData)
	require.True(t, ok)
	require.Equal(t, "CHAP", data.AuthMethod)
	d, err := l.data.Login(data.TargetIQN, h.Initiator, data.AuthUsername, data.AuthPassword.Reveal(), data.TargetLUN)
	require.NoError(t, err)
	return d
}

// use has a host use v by what p tells it.
func (l *lab) use(t *testing.T, p party, v *drivers.Volume, do func(d *arraysim.Disk)) {
	t.Helper()
	groups := l.options["sf_enable_vag"] == true
	info := p.connect(t, v, host)
	assert.Equal(t, groups, l.letsIn(v, host))
	do(l.disk(t, info, host))
	p.disconnect(t, v, host)
	assert.False(t, l.letsIn(v, host))
}

func (l *lab) write(t *testing.T, p party, v *drivers.Volume, text string) {
	t.Helper()
	l.use(t, p, v, func(d *arraysim.Disk) {
		_, err := d.WriteAt([]byte(text), place)
		require.NoError(t, err)
	})
}

func (l *lab) requireContent(t *testing.T, p party, v *drivers.Volume, text string) {
	t.Helper()
	l.use(t, p, v, func(d *arraysim.Disk) {
		have := make([]byte, len(text))
		_, err := d.ReadAt(have, place)
		require.NoError(t, err)
		assert.Equal(t, text, string(have))
	})
}

// requireSameRecord compares what drivers keep of a volume. It shows no secret.
func requireSameRecord(t *testing.T, a, b *drivers.Volume) {
	t.Helper()
	assert.Equal(t, a.ProviderID, b.ProviderID)
	assert.Equal(t, a.ProviderLocation, b.ProviderLocation)
	assert.Equal(t, a.ProviderGeometry, b.ProviderGeometry)
	require.True(t, a.ProviderAuth.Reveal() == b.ProviderAuth.Reveal(), "the CHAP secrets") //nolint:testifylint // a failure would show them
}

// difference is a field of a connection that Cinder's driver does not tell.
type difference struct {
	field string
	value any
	why   string
}

func onlyOurs(d *arraysim.Disk) []difference {
	return []difference{
		{"access_mode", "rw", "Cinder's volume manager adds it to what its driver says"},
		{"device_wwids", []any{"naa." + d.NAA}, "our hosts look whether it is the disk that they were promised, and os-brick does not"},
	}
}

// sameAnswers: both say the same of a volume that either has made, and of the cluster.
func (l *lab) sameAnswers(t *testing.T, c *cinderDriver, ours ourDriver) {
	t.Helper()
	other := *host
	other.Multipath, other.Initiator = true, "iqn.1994-05.com.example:other"
	for i, maker := range []party{c, ours} {
		v := aRecord("a")
		maker.create(t, v)
		for _, h := range []*connector.Properties{host, &other} {
			var theirs, told map[string]any
			c.call(t, &theirs, "initialize_connection", v, h)
			info := ours.connect(t, v, h)
			text, err := json.Marshal(info)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(text, &told))
			requireSameConnection(t, theirs, told, l.disk(t, info, h))
			// Who lets a host in does not matter to who shuts it out.
			[]party{ours, c}[i].disconnect(t, v, h)
			assert.False(t, l.letsIn(v, h))
		}

		// What a record has lost is found again.
		without := v.Clone()
		without.ProviderID, without.ProviderLocation, without.ProviderGeometry, without.ProviderAuth = "", "", "", ""
		u, err := ours.Export(t.Context(), without)
		require.NoError(t, err)
		u.Apply(without)
		requireSameRecord(t, v, without)
	}
	l.sameStats(t, c, ours)
}

func requireSameConnection(t *testing.T, theirs, ours map[string]any, d *arraysim.Disk) {
	t.Helper()
	assert.ElementsMatch(t, []string{"data", "driver_volume_type"}, slices.Collect(maps.Keys(theirs)))
	assert.ElementsMatch(t, []string{"data", "driver_volume_type"}, slices.Collect(maps.Keys(ours)))
	assert.Equal(t, theirs["driver_volume_type"], ours["driver_volume_type"])
	data, told := theirs["data"].(map[string]any), ours["data"].(map[string]any) //nolint:forcetypeassert // a panic says the same
	const secret = "auth_password"
	require.True(t, data[secret] == told[secret] && data[secret] != "", secret)
	delete(data, secret)
	delete(told, secret)
	for _, only := range onlyOurs(d) {
		assert.Equal(t, only.value, told[only.field], only.why)
		assert.NotContains(t, data, only.field, "Cinder's driver tells it, too")
		delete(told, only.field)
	}
	assert.Equal(t, data, told)
}

// sameStats: ours are without the sum of all volumes' IOPS, and with the provisioned
// space as the cluster counts it.
func (l *lab) sameStats(t *testing.T, c *cinderDriver, ours ourDriver) {
	t.Helper()
	var theirs map[string]any
	c.call(t, &theirs, "get_volume_stats", true)
	stats, err := ours.Stats(t.Context())
	require.NoError(t, err)
	pool := stats.Pools[0]
	assert.Equal(t, theirs["volume_backend_name"], stats.BackendName)
	assert.Equal(t, theirs["vendor_name"], stats.VendorName)
	assert.Equal(t, theirs["driver_version"], stats.DriverVersion)
	assert.Equal(t, theirs["storage_protocol"], stats.StorageProtocol)
	assert.InDelta(t, theirs["total_capacity_gb"], float64(pool.Total), 1e-6)
	assert.InDelta(t, theirs["free_capacity_gb"], float64(pool.Free), 1e-6)
	assert.InDelta(t, theirs["reserved_percentage"], pool.ReservedPercentage, 0)
	assert.Equal(t, theirs["multiattach"], pool.MultiAttach)
	assert.Equal(t, theirs["QoS_support"], pool.QoS)
	assert.Equal(t, theirs["thin_provisioning_support"] == true, pool.ThinProvisioning)
	if provisioned, told := theirs["provisioned_capacity_gb"]; told {
		assert.InDelta(t, provisioned, float64(pool.Provisioned), 1e-6)
		assert.Equal(t, theirs["max_over_subscription_ratio"], strconv.FormatFloat(pool.MaxOverSubscription, 'f', 1, 64))
	}
	text, err := json.Marshal(stats.Extra)
	require.NoError(t, err)
	var extra map[string]any
	require.NoError(t, json.Unmarshal(text, &extra))
	for name, value := range extra {
		assert.Equal(t, theirs[name], value, name)
	}
}
