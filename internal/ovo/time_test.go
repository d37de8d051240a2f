// SPDX-License-Identifier: Apache-2.0

package ovo_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gocinder/cinderlib/internal/fault"
	"github.com/gocinder/cinderlib/internal/ovo"
)

func TestTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2024-01-31T12:00:00.123456Z":      "2024-01-31T12:00:00.123456Z",
		"2024-01-31T12:00:00Z":             "2024-01-31T12:00:00.000000Z",
		"2024-01-31 12:00:00":              "2024-01-31T12:00:00.000000Z",
		"2024-01-31T12:00:00.5":            "2024-01-31T12:00:00.500000Z",
		"2024-01-31T12:00:00,123456789":    "2024-01-31T12:00:00.123456Z",
		"2024-01-31T12:00:00+02:00":        "2024-01-31T10:00:00.000000Z",
		"2024-01-31T12:00:00.25-0130":      "2024-01-31T13:30:00.250000Z",
		"2024-01-31T23:00:00-05":           "2024-02-01T04:00:00.000000Z",
		"2024-01-31T12:00:00UTC+02:00":     "2024-01-31T10:00:00.000000Z",
		"2024-01-31T12:00:00.000001UTC":    "2024-01-31T12:00:00.000001Z",
		"2024-02-29T12:30Z":                "2024-02-29T12:30:00.000000Z",
		"2024-02-29T12":                    "2024-02-29T12:00:00.000000Z",
		"2024-02-29":                       "2024-02-29T00:00:00.000000Z",
		"20240229T123456.7Z":               "2024-02-29T12:34:56.700000Z",
		"0001-01-01T00:00:00.000001+00:00": "0001-01-01T00:00:00.000001Z",
		"9999-12-31T23:59:59.999999Z":      "9999-12-31T23:59:59.999999Z",
	} {
		got, err := ovo.NewDecoder([]byte(`"` + text + `"`)).Time()
		require.NoError(t, err, text)
		assert.Equal(t, time.UTC, got.Location(), text)
		assert.Equal(t, `"`+want+`"`, string(ovo.AppendTime(nil, got)), text)
	}
	for _, text := range []string{
		``, `now`, `2024`, `2024-13-01`, `2024-00-01`, `2023-02-29`, `2024-04-31`, `2024-01-00`, `2024-01-32`, `0000-01-01`,
		`2024-01-31T24:00:00`, `2024-01-31T12:60:00`, `2024-01-31T12:00:60`, `2024-01-31T`, `2024-01-31T12:`,
		`2024-01-31T12:00:00.`, `2024-01-31T12:00:00.Z`, `2024-01-31T12:00:00x`, `2024-01-31T12:00:00Z `, `2024-01-31T12:00:00+2`,
		`2024-01-31T12:00:00+24:00`, `9999-12-31T23:59:59-01:00`, `0001-01-01T00:00:00+01:00`, ` 2024-01-31T12:00:00Z`, `-024-01-31T12:00:00Z`,
	} {
		_, err := ovo.NewDecoder([]byte(`"` + text + `"`)).Time()
		require.ErrorIs(t, err, fault.ErrInvalid, text)
	}
	_, err := ovo.NewDecoder([]byte(`1706702400`)).Time()
	assert.EqualError(t, err, "expected a string, found a number (at byte 0)")
}

func TestAppendTime(t *testing.T) {
	t.Parallel()
	paris := time.FixedZone("", 3600)
	for want, when := range map[string]time.Time{
		`null`:                          {},
		`"2024-01-31T11:00:00.000000Z"`: time.Date(2024, 1, 31, 12, 0, 0, 999, paris),
		`"2024-01-31T11:00:00.123456Z"`: time.Date(2024, 1, 31, 12, 0, 0, 123456789, paris),
	} {
		assert.Equal(t, want, string(ovo.AppendTime(nil, when)))
	}
	assert.Equal(t, `null`, string(ovo.AppendTime(nil, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))))
}
