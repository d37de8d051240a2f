// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
	"github.com/gocinder/cinderlib/persistence"
)

// retypingDriver remembers what its one volume was given last. It fails when it is asked
// for what begins with a word of fail.
type retypingDriver struct {
	*brokenDriver

	asked string
}

func (d *retypingDriver) RetypeVolume(_ context.Context, _ *drivers.Volume, t *drivers.VolumeType) (*drivers.VolumeUpdate, error) {
	for word, err := range d.fail {
		if strings.HasPrefix(asked(t), word) {
			return nil, err
		}
	}
	d.asked = asked(t)
	return nil, nil
}

func newRetyping(t *testing.T) (*cinderlib.Backend, *retypingDriver) {
	t.Helper()
	d := &retypingDriver{brokenDriver: &brokenDriver{noop: newNoop("broken"), fail: map[string]error{}}}
	lib, err := cinderlib.New(cinderlib.WithDriver(drivers.NewRegistration("broken",
		func(context.Context, drivers.Env, sampleOptions) (drivers.Driver, error) { return d, nil })))
	require.NoError(t, err)
	b, err := lib.NewBackend(t.Context(), cinderlib.Options{"volume_backend_name": "broken", "volume_driver": "broken"})
	require.NoError(t, err)
	return b, d
}

func tier(name string) cinderlib.TypeOption {
	return cinderlib.WithExtraSpecs(map[string]string{"tier": name})
}

func TestRetype(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, d := newRetyping(t)
	assert.True(t, b.Capabilities().Retype)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	quick := cinderlib.WithQoSSpecs(map[string]string{"maxIOPS": "9"})
	for _, step := range []struct {
		options []cinderlib.RetypeOption
		asked   string
	}{
		{[]cinderlib.RetypeOption{tier("gold"), nil}, "map[tier:gold]"},
		{[]cinderlib.RetypeOption{quick}, "map[tier:gold]map[maxIOPS:9]"},
		{nil, "map[tier:gold]map[maxIOPS:9]"},
		{[]cinderlib.RetypeOption{tier("iron")}, "map[tier:iron]map[maxIOPS:9]"},
		{[]cinderlib.RetypeOption{cinderlib.WithExtraSpecs(nil)}, "map[]map[maxIOPS:9]"},
		{[]cinderlib.RetypeOption{cinderlib.WithQoSSpecs(nil)}, "nothing"},
		{[]cinderlib.RetypeOption{quick, tier("gold")}, "map[tier:gold]map[maxIOPS:9]"},
		{[]cinderlib.RetypeOption{cinderlib.WithQoSSpecs(nil)}, "map[tier:gold]"},
	} {
		require.NoError(t, v.Retype(ctx, step.options...))
		assert.Equal(t, step.asked, d.asked)
		again, err := library(b).VolumeByID(ctx, v.ID())
		require.NoError(t, err)
		assert.Equal(t, step.asked, asked(again.Info().VolumeType), "in the store")
		assert.Equal(t, "available", again.Status())
	}
}

// TestRetypeShared: a type that volumes of Cinder share stays as it is.
func TestRetypeShared(t *testing.T) {
	t.Parallel()
	b, d := newRetyping(t)
	require.NoError(t, cinderlib.StoreOf(b).Write(t.Context(), persistence.Insert(&drivers.Volume{
		ID: baseID, Size: 1, Status: "available", Host: "h@broken#broken", VolumeTypeID: newOne,
		VolumeType: &drivers.VolumeType{ID: newOne, Name: "shared", ExtraSpecs: map[string]string{"tier": "lead", "a": "b"}},
	})))
	v, err := library(b).VolumeByID(t.Context(), baseID)
	require.NoError(t, err)
	require.NoError(t, v.Retype(t.Context(), tier("gold")))
	assert.Equal(t, "map[tier:gold]", d.asked)
	now := v.Info()
	assert.Equal(t, baseID, now.VolumeTypeID)
	assert.Equal(t, baseID, now.VolumeType.ID)
}

func TestRetypeFails(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, d := newRetyping(t)
	v, err := b.CreateVolume(ctx, 1, tier("gold"))
	require.NoError(t, err)
	c, err := v.Connect(ctx, elsewhere)
	require.NoError(t, err)
	require.NoError(t, v.Retype(ctx))

	d.fail["map[tier:gold]"] = errors.New("must not be asked")
	d.fail["map[tier:tin]"] = drivers.Errorf(drivers.ErrInvalid, "there is no tin")
	require.ErrorIs(t, v.Retype(ctx, tier("tin")), cinderlib.ErrInvalid)
	assert.Equal(t, "in-use", v.Status(), "it was refused: nothing is to be taken back")
	delete(d.fail, "map[tier:gold]")

	d.fail["map[tier:tin]"] = drivers.Errorf(drivers.ErrUnavailable, "the array is away")
	require.ErrorIs(t, v.Retype(ctx, tier("tin")), cinderlib.ErrUnavailable)
	assert.Equal(t, "in-use", v.Status())
	assert.Equal(t, "map[tier:gold]", d.asked, "it was taken back")

	d.fail["map[tier:gold]"] = errors.New("still away")
	err = v.Retype(ctx, tier("tin"))
	require.ErrorContains(t, err, "retype volume "+v.ID())
	require.ErrorContains(t, err, "the array is away; give it back what it had: still away")
	assert.Equal(t, "retyping", v.Status())
	require.ErrorIs(t, v.Retype(ctx, tier("iron")), cinderlib.ErrPrecondition)
	require.NoError(t, c.Disconnect(ctx), "a host gets away all the same")
	_, err = b.Recover(ctx)
	require.ErrorContains(t, err, "still away")
	delete(d.fail, "map[tier:gold]")
	d.asked = ""
	done, err := b.Recover(ctx)
	require.NoError(t, err)
	require.Len(t, done, 1)
	assert.Equal(t, cinderlib.Recovery{Kind: "volume", ID: v.ID(), Was: "retyping", Now: "available"}, done[0])
	assert.Equal(t, "map[tier:gold]", d.asked)
	done, err = b.Recover(ctx)
	require.NoError(t, err)
	assert.Empty(t, done)
}

func TestRetypeRefused(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, _ := newBroken(t)
	assert.False(t, b.Capabilities().Retype)
	v, err := b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	require.ErrorIs(t, v.Retype(ctx, tier("gold")), errors.ErrUnsupported)
	assert.Equal(t, "available", v.Status())

	b, d := newRetyping(t)
	v, err = b.CreateVolume(ctx, 1)
	require.NoError(t, err)
	for _, o := range []cinderlib.TypeOption{
		cinderlib.WithExtraSpecs(map[string]string{"": "x"}), cinderlib.WithQoSSpecs(map[string]string{strings.Repeat("k", 256): "x"}),
	} {
		require.ErrorIs(t, v.Retype(ctx, o), cinderlib.ErrInvalid)
	}
	assert.Empty(t, d.asked)
	require.NoError(t, v.Delete(ctx))
	require.ErrorIs(t, v.Retype(ctx, tier("gold")), cinderlib.ErrNotFound)
}
