// SPDX-License-Identifier: Apache-2.0

package lvm

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gocinder/cinderlib/connector"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/internal/lio"
	"github.com/gocinder/cinderlib/internal/poll"
)

// Export makes the LV a target of the kernel, with the credentials that the
// record has or new ones. No program runs, unless the LV must be activated.
// ErrInUse: somebody else holds the LV.
func (d *Driver) Export(ctx context.Context, v *drivers.Volume) (*drivers.VolumeUpdate, error) {
	name, err := d.volumeName(v)
	var update *drivers.VolumeUpdate
	if err == nil {
		update, err = d.export(ctx, v, name)
	}
	return update, failed("export", name, err)
}

func (d *Driver) export(ctx context.Context, v *drivers.Volume, name string) (*drivers.VolumeUpdate, error) {
	iqn, err := d.exported(v)
	if err != nil {
		return nil, err
	}
	if err := d.activate(ctx, name); err != nil {
		return nil, err
	}
	e := lio.Export{
		IQN: iqn, Device: d.device(name), Serial: serial(v), Portals: d.portals,
		ISER: d.o.TargetProtocol == connector.ProtocolISER, Discard: d.thin(),
	}
	err = d.target.Export(ctx, e)
	if errors.Is(err, drivers.ErrInUse) {
		// Python's Cinder gives disks a serial of their own. A host that is logged in
		// keeps the disk that it knows.
		t, look := d.target.Target(ctx, iqn)
		if look == nil && t != nil && t.Serial != "" && t.Serial != e.Serial {
			e.Serial = t.Serial
			err = d.target.Export(ctx, e)
		}
	}
	if err != nil {
		return nil, err
	}
	update := &drivers.VolumeUpdate{}
	if where := location(d.portals, iqn); where != v.ProviderLocation {
		update.ProviderLocation = &where
	}
	if _, _, ok := credentials(v.ProviderAuth); !ok {
		auth := drivers.Secret("CHAP " + secret(20) + " " + secret(16))
		update.ProviderAuth = &auth
	}
	return update, nil
}

// exported is the name of the volume's target: the one it was given, or what the
// options say.
func (d *Driver) exported(v *drivers.Volume) (string, error) {
	if _, iqn, ok := parseLocation(v.ProviderLocation); ok && lio.CheckIQN(iqn) == nil {
		return iqn, nil
	}
	return d.iqn(v)
}

// location is provider_location as Cinder has it: portals, the target's id,
// which is the name with LIO, the name, the LUN.
func location(portals []netip.AddrPort, iqn string) string {
	texts := make([]string, len(portals))
	for i, p := range portals {
		texts[i] = p.String()
	}
	return strings.Join(texts, ";") + "," + iqn + " " + iqn + " 0"
}

func parseLocation(text string) (portals []string, iqn string, ok bool) {
	fields := strings.Fields(text)
	if len(fields) < 2 {
		return nil, "", false
	}
	addresses, _, _ := strings.Cut(fields[0], ",")
	return strings.Split(addresses, ";"), fields[1], addresses != ""
}

// credentials takes provider_auth apart.
func credentials(auth drivers.Secret) (user string, password drivers.Secret, ok bool) {
	fields := strings.Fields(auth.Reveal())
	if len(fields) != 3 || !strings.EqualFold(fields[0], "CHAP") {
		return "", "", false
	}
	return fields[1], drivers.Secret(fields[2]), true
}

// groups are the characters of Cinder's CHAP credentials: those that nobody takes
// for another.
var groups = [...]string{"23456789", "ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnopqrstuvwxyz"}

// secret is n characters at random, with some of each group. The kernel takes
// NULL at the start for none.
func secret(n int) string {
	all := strings.Join(groups[:], "")
	for {
		text := make([]byte, n)
		for i := range text {
			text[i] = all[random(len(all))]
		}
		if !slices.ContainsFunc(groups[:], func(g string) bool { return !strings.ContainsAny(string(text), g) }) &&
			!strings.HasPrefix(string(text), "NULL") {
			return string(text)
		}
	}
}

// random is a number below n, which is at most 256, each as likely as another.
func random(n int) int {
	for b := make([]byte, 1); ; {
		_, _ = rand.Read(b) // it never fails
		if i := int(b[0]); i < 256/n*n {
			return i % n
		}
	}
}

// Unexport removes the target. No program runs.
func (d *Driver) Unexport(ctx context.Context, v *drivers.Volume) error {
	name := v.NameOnArray()
	iqn, err := d.exported(v)
	if err == nil {
		err = d.target.Unexport(ctx, iqn)
	}
	return failed("unexport", name, err)
}

// Connect lets the host's initiator log in to the target.
func (d *Driver) Connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	info, err := d.connect(ctx, v, a)
	return info, failed("connect", v.NameOnArray(), err)
}

func (d *Driver) connect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) (*connector.ConnInfo, error) {
	initiator := initiatorOf(a.Host)
	if initiator == "" {
		return nil, drivers.Errorf(drivers.ErrInvalid, "the connector properties have no initiator")
	}
	user, password, ok := credentials(v.ProviderAuth)
	portals, iqn, located := parseLocation(v.ProviderLocation)
	if !ok || !located {
		return nil, d.unexported(ctx, v)
	}
	if err := d.target.Allow(ctx, iqn, lio.Initiator{
		IQN: initiator, User: user, Password: password, ReadOnly: a.Mode == connector.ReadOnly,
		KeepWrite: hasInitiator(a.Others, initiator), // the other connection may be one for writing
	}); err != nil {
		return nil, err
	}
	t, err := d.target.Target(ctx, iqn)
	if err != nil {
		return nil, err
	}
	data := &connector.ISCSIData{
		TargetPortal: portals[0], TargetIQN: iqn,
		AuthMethod: "CHAP", AuthUsername: user, AuthPassword: password,
	}
	if len(portals) > 1 || a.Host.Multipath {
		for range portals {
			data.TargetIQNs = append(data.TargetIQNs, iqn)
			data.TargetLUNs = append(data.TargetLUNs, 0)
		}
		data.TargetPortals = portals
	}
	if sizes := strings.Fields(v.ProviderGeometry); len(sizes) == 2 {
		data.PhysicalBlockSize, data.LogicalBlockSize = sizes[0], sizes[1]
	}
	encrypted := v.EncryptionKeyID != ""
	data.Shared = connector.Common{VolumeID: v.ID, AccessMode: a.Mode, Encrypted: &encrypted}
	if t != nil && t.Serial != "" {
		data.Shared.DeviceWWIDs = []string{lio.WWN(t.Serial)}
	}
	if d.o.ReportDiscard {
		yes := true
		data.Shared.Discard = &yes
	}
	return &connector.ConnInfo{Protocol: d.o.TargetProtocol, Data: data}, nil
}

// unexported is the error of a volume without a target.
func (d *Driver) unexported(ctx context.Context, v *drivers.Volume) error {
	if _, err := d.InspectVolume(ctx, v); err != nil {
		return err
	}
	return drivers.Errorf(drivers.ErrPrecondition, "it is not exported")
}

func initiatorOf(p *connector.Properties) string { return strings.ToLower(p.Initiator) }

func hasInitiator(hosts []*connector.Properties, initiator string) bool {
	return slices.ContainsFunc(hosts, func(p *connector.Properties) bool { return initiatorOf(p) == initiator })
}

// How long Disconnect waits for a session whose initiator has logged out.
const (
	logoutTries = 20
	logoutPause = 100 * time.Millisecond
)

// Disconnect takes the host's right to log in. ErrInUse: it is logged in, so it
// has not let go of the device; with a.Force it is thrown out.
func (d *Driver) Disconnect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) error {
	return failed("disconnect", v.NameOnArray(), d.disconnect(ctx, v, a))
}

func (d *Driver) disconnect(ctx context.Context, v *drivers.Volume, a *drivers.Attachment) error {
	initiator := initiatorOf(a.Host)
	if initiator == "" || hasInitiator(a.Others, initiator) {
		return nil
	}
	iqn, err := d.exported(v)
	if err != nil {
		return err
	}
	for n := 1; !a.Force; n++ {
		sessions, err := d.target.Sessions(ctx, iqn)
		if errors.Is(err, drivers.ErrNotFound) { // there is no target
			return nil
		}
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(sessions, func(s lio.Session) bool { return s.Initiator == initiator }) {
			break
		}
		if n == logoutTries {
			return drivers.Errorf(drivers.ErrInUse, "%s is logged in to %s", initiator, iqn)
		}
		if err := poll.Pause(ctx, logoutPause); err != nil {
			return err
		}
	}
	return d.target.Disallow(ctx, iqn, initiator)
}
