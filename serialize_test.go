// SPDX-License-Identifier: Apache-2.0

package cinderlib_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib"
	"github.com/gocinder/cinderlib/drivers"
)

// sampleOptions are those of the driver that wrote testdata/python: it does
// nothing and takes some of Cinder's options.
type sampleOptions struct {
	drivers.CommonOptions
	SanIP        string         `option:"san_ip"`
	SanLogin     string         `option:"san_login"`
	SanPassword  drivers.Secret `option:"san_password"`
	UseCHAP      bool           `option:"use_chap_auth"`
	CHAPUsername string         `option:"chap_username"`
	CHAPPassword drivers.Secret `option:"chap_password"`
}

// sampleLibrary is a Library with a backend named as in the samples. A full
// sample sets up the backend itself.
func sampleLibrary(t testing.TB, full bool) *cinderlib.Library {
	t.Helper()
	opts := []cinderlib.Option{
		cinderlib.WithHostName("sample-host"),
		cinderlib.WithDriver(drivers.NewRegistration("noop", func(_ context.Context, env drivers.Env, _ sampleOptions) (drivers.Driver, error) {
			return newNoop(env.Backend), nil
		}, drivers.Alias("noop_driver.NoopDriver"))),
	}
	if full {
		opts = append(opts, cinderlib.WithOutputAllBackendInfo())
	}
	lib, err := cinderlib.New(opts...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, lib.Close(context.Background())) })
	if !full {
		_, err = lib.NewBackend(t.Context(), cinderlib.Options{"volume_backend_name": "sample", "volume_driver": "noop"})
		require.NoError(t, err)
	}
	return lib
}

func samples(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "python", pattern))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	return names
}

func decoded(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(text, &v))
	return v
}

// Every sample loads, and written again in the form it has it is the same
// document.
func TestPythonSamplesRoundTrip(t *testing.T) {
	t.Parallel()
	count := 0
	for _, name := range append(samples(t, "*.json"), samples(t, "*-dumps.txt")...) {
		base := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(name), ".json"), ".txt")
		form := base[strings.LastIndex(base, "-")+1:]
		if form == "to_dict" {
			continue // is not for loading; see the next test
		}
		count++
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			lib := sampleLibrary(t, strings.Contains(base, ".full."))
			objects, err := lib.Load(t.Context(), text)
			require.NoError(t, err)
			require.Len(t, objects, 1)
			var again []byte
			whole := strings.Contains(base, ".all-")
			switch o := objects[0].(type) {
			case *cinderlib.Backend:
				switch {
				case whole && form == "json":
					again, err = lib.MarshalJSON()
				case whole:
					again, err = lib.Dump(t.Context())
				case form == "json":
					again, err = o.MarshalJSON()
				default:
					again, err = o.Dump(t.Context())
				}
			case interface {
				cinderlib.Object
				Simplified() ([]byte, error)
				Dump(context.Context) ([]byte, error)
			}:
				switch form {
				case "simplified":
					again, err = o.Simplified()
				case "dump":
					again, err = dumpLoaded(t, o)
				default:
					again, err = o.MarshalJSON()
				}
			}
			require.NoError(t, err)
			assert.Equal(t, decoded(t, text), decoded(t, again))
			assert.NotContains(t, string(again), ": ", "compact everywhere")
		})
	}
	assert.Greater(t, count, 60)
}

// dumpLoaded dumps an object that was loaded without its store. A snapshot or
// connection that came without its volume cannot load it: its json is all there
// is.
func dumpLoaded(t *testing.T, o interface {
	cinderlib.Object
	Dump(context.Context) ([]byte, error)
},
) ([]byte, error) {
	if s, ok := o.(*cinderlib.Snapshot); ok {
		text, err := s.MarshalJSON()
		require.NoError(t, err)
		if !strings.Contains(string(text), `"volume":`) {
			return text, nil
		}
	}
	return o.Dump(t.Context())
}

// to_dict is what the sample of the same object in the json form gives, with the
// lists flattened, which the original means and does not do.
func TestPythonSamplesToDict(t *testing.T) {
	t.Parallel()
	for _, name := range samples(t, "*-to_dict.json") {
		base := strings.TrimSuffix(filepath.Base(name), "-to_dict.json")
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(name)
			require.NoError(t, err)
			text, err := os.ReadFile(filepath.Join("testdata", "python", base+"-json.json"))
			require.NoError(t, err)
			objects, err := sampleLibrary(t, false).Load(t.Context(), text)
			require.NoError(t, err)
			dict, err := objects[0].(interface {
				ToDict() (map[string]any, error)
			}).ToDict()
			require.NoError(t, err)
			got, err := json.Marshal(dict)
			require.NoError(t, err)
			assert.Equal(t, flattened(decoded(t, want)), decoded(t, got))
		})
	}
}

// flattened puts {"…list": {"objects": […]}} as the plain list.
func flattened(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, list := range []string{"snapshotlist", "volumeattachmentlist"} {
			if inner, ok := v[list].(map[string]any); ok && len(v) == 1 {
				return flattened(inner["objects"])
			}
		}
		for k := range v {
			v[k] = flattened(v[k])
		}
	case []any:
		for i := range v {
			v[i] = flattened(v[i])
		}
	}
	return v
}

// What was loaded with save is found in the store, with its relations, and the
// dump of a library that reads it from there is the one that was loaded.
func TestLoadSaves(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "python", "memory.brief.all-dump.json"))
	require.NoError(t, err)
	lib := sampleLibrary(t, false)
	_, err = lib.Load(t.Context(), text, cinderlib.WithSave())
	require.NoError(t, err)

	other, err := cinderlib.New(cinderlib.WithStore(lib.Persistence()), cinderlib.WithDriver(drivers.NewRegistration("noop",
		func(_ context.Context, env drivers.Env, _ sampleOptions) (drivers.Driver, error) {
			return newNoop(env.Backend), nil
		})))
	require.NoError(t, err)
	defer other.Close(t.Context())
	_, err = other.NewBackend(t.Context(), cinderlib.Options{"volume_backend_name": "sample", "volume_driver": "noop"})
	require.NoError(t, err)
	again, err := other.Dump(t.Context())
	require.NoError(t, err)
	assert.Equal(t, byID(decoded(t, text)), byID(decoded(t, again)))

	v, err := other.VolumesByName(t.Context(), "vol-with-snapshot")
	require.NoError(t, err)
	require.Len(t, v, 1)
	snapshots, err := v[0].Snapshots(t.Context())
	require.NoError(t, err)
	require.Len(t, snapshots, 1)
	same, err := snapshots[0].Volume(t.Context())
	require.NoError(t, err)
	assert.Same(t, v[0], same)
}

// byID makes a map of the volumes, whose order is the store's.
func byID(all any) any {
	backend := all.([]any)[0].(map[string]any)
	volumes := map[string]any{}
	for _, v := range backend["volumes"].([]any) {
		data := v.(map[string]any)["ovo"].(map[string]any)["versioned_object.data"].(map[string]any)
		volumes[data["id"].(string)] = v
	}
	backend["volumes"] = volumes
	return backend
}

// A dump of before cinderlib 0.3 has the backend in the availability zone.
func TestLoadSeedForm(t *testing.T) {
	t.Parallel()
	lib := sampleLibrary(t, false)
	v, err := lib.LoadVolume(t.Context(), []byte(`{"class":"Volume","backend":{"volume_backend_name":"sample"},"ovo":{
		"versioned_object.version":"1.6","versioned_object.name":"Volume","versioned_object.namespace":"cinder",
		"versioned_object.data":{"id":"00000001-0000-4000-8000-000000000001","host":"old-node","availability_zone":"sample",
		"size":1,"status":"available","created_at":"2018-09-01T10:11:12Z"}}}`), cinderlib.WithSave())
	require.NoError(t, err)
	info := v.Info()
	assert.Equal(t, "old-node@sample#sample", info.Host)
	assert.Empty(t, info.AvailabilityZone)
	found, err := lib.Backend("sample").VolumesFiltered(t.Context(), cinderlib.VolumeFilter{ID: v.ID()})
	require.NoError(t, err)
	assert.Len(t, found, 1)
	text, err := v.MarshalJSON()
	require.NoError(t, err)
	assert.Contains(t, string(text), `"created_at":"2018-09-01T10:11:12.000000Z"`)
}

func TestLoadOfTheWrongClass(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "python", "memory.brief.volume-json.json"))
	require.NoError(t, err)
	lib := sampleLibrary(t, false)
	_, err = lib.LoadSnapshot(t.Context(), text, cinderlib.WithSave())
	require.ErrorIs(t, err, cinderlib.ErrInvalid)
	volumes, err := lib.Backend("sample").Volumes(t.Context())
	require.NoError(t, err)
	assert.Empty(t, volumes, "nothing was stored")
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	const id = "00000001-0000-4000-8000-000000000001"
	volume := func(data string) string {
		return `{"class":"Volume","backend":{"volume_backend_name":"sample"},"ovo":{"versioned_object.name":"Volume",` +
			`"versioned_object.namespace":"cinder","versioned_object.version":"1.9","versioned_object.data":{` + data + `}}}`
	}
	host := `"host":"h@sample#sample"`
	nested := ""
	for range 40 { // a snapshot in its volume in its snapshot …
		data := `"id":"` + id + `","volume_id":"` + id + `"`
		if nested != "" {
			data += `,"volume":` + nested
		}
		nested = `{"versioned_object.name":"Volume","versioned_object.namespace":"cinder","versioned_object.version":"1.9","versioned_object.data":{"id":"` + id +
			`","snapshots":{"versioned_object.name":"SnapshotList","versioned_object.namespace":"cinder","versioned_object.version":"1.0","versioned_object.data":{"objects":[` +
			`{"versioned_object.name":"Snapshot","versioned_object.namespace":"cinder","versioned_object.version":"1.6","versioned_object.data":{` + data + `}}]}}}}`
	}
	for name, text := range map[string]string{
		"nothing":                 ``,
		"truncated":               volume(`"id":"` + id + `"`)[:120],
		"trailing":                volume(`"id":"`+id+`",`+host) + `]`,
		"a number":                `17`,
		"no class":                `{"backend":{"volume_backend_name":"sample"}}`,
		"unknown class":           `{"class":"Group","backend":{"volume_backend_name":"sample"},"ovo":{}}`,
		"no backend":              `{"class":"Volume","ovo":` + volume(`"id":"` + id + `"`)[62:],
		"backend is text":         strings.Replace(volume(`"id":"`+id+`"`), `{"volume_backend_name":"sample"}`, `"sample"`, 1),
		"unknown backend":         strings.Replace(volume(`"id":"`+id+`"`), `"sample"`, `"other"`, 1),
		"no id":                   volume(`"size":1`),
		"id climbs":               volume(`"id":"../../etc/passwd",` + host),
		"name id climbs":          volume(`"id":"` + id + `","_name_id":"../x",` + host),
		"size is text":            volume(`"id":"` + id + `","size":"big",` + host),
		"size is negative":        volume(`"id":"` + id + `","size":-1,` + host),
		"size is huge":            volume(`"id":"` + id + `","size":99999999999999999999,` + host),
		"other backend's host":    volume(`"id":"` + id + `","host":"h@other#pool"`),
		"major version":           strings.Replace(volume(`"id":"`+id+`"`), `"1.9"`, `"2.0"`, 1),
		"namespace":               strings.Replace(volume(`"id":"`+id+`"`), `"cinder"`, `"nova"`, 1),
		"goes round and round":    `{"class":"Volume","backend":{"volume_backend_name":"sample"},"ovo":` + nested + `}`,
		"deep":                    strings.Repeat(`[`, 100000),
		"deep objects":            strings.Repeat(`{"class":`, 100000),
		"snapshot of another":     volume(`"id":"` + id + `",` + host + `,"snapshots":{"versioned_object.name":"SnapshotList","versioned_object.namespace":"cinder","versioned_object.version":"1.0","versioned_object.data":{"objects":[{"versioned_object.name":"Snapshot","versioned_object.namespace":"cinder","versioned_object.version":"1.6","versioned_object.data":{"id":"` + id + `","volume_id":"00000001-0000-4000-8000-000000000002"}}]}}`),
		"backend in a backend":    `{"class":"Backend","backend":{"volume_backend_name":"sample"},"volumes":[{"class":"Backend","backend":{"volume_backend_name":"sample"},"volumes":[]}]}`,
		"unknown driver":          `{"class":"Backend","backend":{"volume_backend_name":"new","volume_driver":"no.such.Driver"},"volumes":[]}`,
		"volume of other backend": `{"class":"Backend","backend":{"volume_backend_name":"sample"},"volumes":[` + strings.Replace(volume(`"id":"`+id+`"`), `"sample"`, `"other"`, 1) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lib := sampleLibrary(t, false)
			_, err := lib.Load(t.Context(), []byte(text), cinderlib.WithSave())
			require.Error(t, err)
			code := cinderlib.CodeOf(err)
			assert.True(t, code == cinderlib.CodeInvalidArgument || code == cinderlib.CodeNotFound, "%s: %v", code, err)
			assert.Less(t, len(err.Error()), 600)
			volumes, err := lib.Backend("sample").Volumes(t.Context())
			require.NoError(t, err)
			assert.Empty(t, volumes)
			assert.Len(t, lib.Backends(), 1)
		})
	}
}

func FuzzLoad(f *testing.F) {
	for _, name := range []string{"memory.brief.all-dump.json", "db.brief.snapshot-json.json", "db-reload.brief.connection-attached-dump.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", "python", name))
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(`[{"class":"Backend","backend":{"volume_backend_name":"sample"},"volumes":[]}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		lib := sampleLibrary(t, false)
		objects, err := lib.Load(t.Context(), text)
		if err != nil {
			return
		}
		for _, o := range objects {
			once, err := o.MarshalJSON()
			require.NoError(t, err)
			require.True(t, json.Valid(once))
			other := sampleLibrary(t, false)
			again, err := other.Load(t.Context(), once)
			require.NoError(t, err, "what was written does not load: %s", once)
			require.Len(t, again, 1)
			twice, err := again[0].MarshalJSON()
			require.NoError(t, err)
			require.JSONEq(t, string(once), string(twice))
		}
	})
}
