// SPDX-License-Identifier: Apache-2.0

package lio

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}

// exported makes a target with two initiators and saves it into a file that
// holds text.
func exported(t *testing.T, text []byte) *world {
	t.Helper()
	w := newWorld(t)
	w.SaveConfig = NoSaveConfig
	reader := initiator1()
	reader.ReadOnly = true
	writer := initiator1()
	writer.IQN, writer.Password = host2, "second-"+canary
	require.NoError(t, w.Export(t.Context(), export1()))
	require.NoError(t, w.Allow(t.Context(), iqn1, reader))
	require.NoError(t, w.Allow(t.Context(), iqn1, writer))
	w.SaveConfig = ""
	if text != nil {
		w.saved[rtslibFolder+"/saveconfig.json"] = text
	}
	require.NoError(t, w.Export(t.Context(), export1()))
	once := w.file()
	require.NoError(t, w.Allow(t.Context(), iqn1, writer))
	assert.Equal(t, once, w.file())
	return w
}

func TestSave(t *testing.T) {
	t.Parallel()
	old, err := os.ReadFile("testdata/saveconfig.json")
	require.NoError(t, err)
	t.Run("new", func(t *testing.T) {
		t.Parallel()
		w := exported(t, nil)
		golden(t, "new.golden.json", []byte(w.file()))
		require.NoError(t, w.Unexport(t.Context(), iqn1))
		assert.JSONEq(t, `{"fabric_modules": [], "storage_objects": [], "targets": []}`, w.file())
	})
	t.Run("merged", func(t *testing.T) {
		t.Parallel()
		w := exported(t, old)
		golden(t, "merged.golden.json", []byte(w.file()))
		require.NoError(t, w.Disallow(t.Context(), iqn1, host1))
		assert.NotContains(t, w.file(), host1)
		require.NoError(t, w.Unexport(t.Context(), iqn1))
		golden(t, "removed.golden.json", []byte(w.file()))
	})
	t.Run("another disk keeps nothing of the old", func(t *testing.T) {
		t.Parallel()
		w := exported(t, []byte(strings.ReplaceAll(string(old), id1, id2)))
		assert.NotContains(t, w.file(), "novelty")
		assert.NotContains(t, w.file(), "block_size")
	})
	t.Run("same text", func(t *testing.T) {
		t.Parallel()
		merged, err := merge(old, "iqn.2010-10.org.a:other", nil, nil)
		require.NoError(t, err)
		assert.Equal(t, string(old), string(merged))
	})
	t.Run("written by hand", func(t *testing.T) {
		t.Parallel()
		for text, want := range map[string]string{
			"{}":                              `{"storage_objects": [{"plugin": "block", "name": "x"}], "targets": [{"fabric": "iscsi"}]}`,
			` { "targets" : [ 1,"]",null ] }`: `{"storage_objects": [{"plugin": "block", "name": "x"}], "targets": [1, "]", null, {"fabric": "iscsi"}]}`,
			`{"a\\":["\"x"],"targets":[{"fabric":"iscsi","wwn":"x"},{"fabric":"iscsi","wwn":"x"}],"storage_objects":[]}`: `{"a\\": ["\"x"],
				"storage_objects": [{"plugin": "block", "name": "x"}], "targets": [{"fabric": "iscsi", "wwn": "x"}]}`,
			`{"targets": 1, "targets": [-1.5e3,true]}`: `{"storage_objects": [{"plugin": "block", "name": "x"}], "targets": [-1500, true, {"fabric": "iscsi"}]}`,
		} {
			got, err := merge([]byte(text), "x", object{"plugin": "block", "name": "x"}, object{"fabric": "iscsi"})
			require.NoError(t, err, text)
			assert.JSONEq(t, want, string(got), text)
		}
	})
	for name, text := range map[string]string{
		"empty": "", "cut short": string(old[:len(old)/2]), "no object": "[]", "null": "null", "lists": `{"targets": {}}`,
		"two": "{}{}", "no text": "{\"a\": \"\xff\"}",
	} {
		t.Run("corrupt: "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.saved[rtslibFolder+"/saveconfig.json"] = []byte(text)
			require.NoError(t, w.Export(t.Context(), export1()))
			assert.Equal(t, text, w.file())
			assert.Contains(t, w.logs.String(), "level=WARN")
		})
	}
	t.Run("cannot be written", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.noSave = syscall.EROFS
		require.NoError(t, w.Export(t.Context(), export1()))
		assert.Contains(t, w.logs.String(), "level=WARN")
	})
	t.Run("not wanted", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.SaveConfig = NoSaveConfig
		require.NoError(t, w.Export(t.Context(), export1()))
		assert.Empty(t, w.saved)
	})
}

func TestReplace(t *testing.T) {
	t.Parallel()
	h := (&Kernel{Root: t.TempDir()}).host()
	for _, text := range []string{"one", "two"} {
		require.NoError(t, h.replace(t.Context(), "/etc/target/saveconfig.json", []byte(text)))
		// What a killed one left is in nobody's way.
		require.NoError(t, os.WriteFile(h.root+"/etc/target/saveconfig.json.temp", nil, 0o644))
	}
	got, err := h.load(t.Context(), "/etc/target/saveconfig.json")
	require.NoError(t, err)
	assert.Equal(t, "two", string(got))
	info, err := os.Stat(h.root + "/etc/target/saveconfig.json")
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.NoError(t, os.Mkdir(h.root+"/etc/target/folder", 0o755))
	require.Error(t, h.replace(t.Context(), "/etc/target/folder", []byte("x")))
	assert.NoFileExists(t, h.root+"/etc/target/folder.temp")
}

// TestHost is what files and folders can show of the real host.
func TestHost(t *testing.T) {
	t.Parallel()
	h := (&Kernel{Root: t.TempDir()}).host()
	require.NoError(t, h.mkdir(t.Context(), "/a"))
	require.ErrorIs(t, h.mkdir(t.Context(), "/a"), syscall.EEXIST)
	require.ErrorIs(t, h.write(t.Context(), "/a/attr", "1"), syscall.ENOENT, "never made")
	require.NoError(t, os.WriteFile(h.root+"/a/attr", []byte("12345\n"), 0o600))
	require.NoError(t, h.write(t.Context(), "/a/attr", "9"))
	text, err := h.read(t.Context(), "/a/attr")
	require.NoError(t, err)
	assert.Equal(t, "92345\n", text, "never cut")
	require.NoError(t, h.symlink(t.Context(), "/a/attr", "/a/link"))
	target, err := h.readlink("/a/link")
	require.NoError(t, err)
	assert.Equal(t, h.root+"/a/attr", target)
	entries, err := h.list("/a")
	require.NoError(t, err)
	assert.Equal(t, []entry{{"attr", 0}, {"link", os.ModeSymlink}}, entries)
	require.ErrorIs(t, h.rmdir(t.Context(), "/a"), syscall.ENOTEMPTY)
	require.ErrorIs(t, h.rmdir(t.Context(), "/a/link"), syscall.ENOTDIR)
	require.NoError(t, h.unlink(t.Context(), "/a/link"))
	there, err := h.exists("/a/link")
	require.NoError(t, err)
	assert.False(t, there)
	_, err = h.device("/a/attr")
	require.ErrorIs(t, err, syscall.ENOTBLK)
	_, err = host{}.device("/dev/null")
	require.ErrorIs(t, err, syscall.ENOTBLK)
	assert.False(t, h.mounted("/a"))
	require.ErrorIs(t, h.listen(t.Context(), addr("192.0.2.1:0")[0]), syscall.EADDRNOTAVAIL)
	require.NoError(t, h.listen(t.Context(), addr("127.0.0.1:0")[0]))
}

func FuzzMerge(f *testing.F) {
	old, err := os.ReadFile("testdata/saveconfig.json")
	require.NoError(f, err)
	f.Add(old)
	f.Add([]byte("{}"))
	f.Add([]byte(`{"targets":[1,"a\\"]",[{}]],"x":-1e3 ,"storage_objects":[ ]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		entries := func() (object, object) {
			return object{"plugin": "block", "name": iqn2, "dev": "/d", "wwn": "w"}, object{"fabric": "iscsi", "wwn": iqn2, "tpgs": []any{}}
		}
		store, target := entries()
		added, err := merge(text, iqn2, store, target)
		if err != nil {
			return
		}
		var a, b struct {
			Stores  []any `json:"storage_objects"`
			Targets []any `json:"targets"`
		}
		require.NoError(t, json.Unmarshal(added, &a))
		store, target = entries()
		again, err := merge(added, iqn2, store, target)
		require.NoError(t, err)
		require.Equal(t, string(added), string(again))
		removed, err := merge(added, iqn2, nil, nil)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(removed, &b))
		require.Len(t, b.Stores, len(a.Stores)-1)
		require.Len(t, b.Targets, len(a.Targets)-1)
	})
}

// BenchmarkMerge is what saving costs on a host with a thousand targets.
func BenchmarkMerge(b *testing.B) {
	var file struct {
		Stores  []object `json:"storage_objects"`
		Targets []object `json:"targets"`
	}
	for i := range 1000 {
		name := fmt.Sprintf("%svolume-%d", prefix, i)
		attributes := object{}
		for j := range 30 {
			attributes[fmt.Sprintf("attribute_%d", j)] = j
		}
		file.Stores = append(file.Stores, object{"plugin": "block", "name": name, "dev": "/dev/vg/" + name, "wwn": id1, "attributes": attributes})
		file.Targets = append(file.Targets, object{"fabric": "iscsi", "wwn": name, "tpgs": []any{object{"tag": 1, "attributes": attributes}}})
	}
	text, err := json.MarshalIndent(file, "", "  ")
	require.NoError(b, err)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, err := merge(text, prefix+"volume-500", object{"plugin": "block"}, object{"fabric": "iscsi"})
		require.NoError(b, err)
	}
}
