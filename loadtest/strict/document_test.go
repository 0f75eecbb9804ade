package strict_test

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/strict"
)

func TestDocument_PlacesWhatIsFoundWrongLater(t *testing.T) {
	var a, b int
	doc, err := strict.Read("x.yaml", strings.NewReader("\nouter:\n  a: 1\nlist:\n  - b: 2\n"), strict.Fields{
		"outer": func(v strict.Value) error { return v.Mapping(strict.Fields{"a": strict.Whole(&a)}) },
		"list": func(v strict.Value) error {
			return v.List(func(int) {}, func(_ int, v strict.Value) error { return v.Mapping(strict.Fields{"b": strict.Whole(&b)}) })
		},
	})
	require.NoError(t, err)
	assert.Equal(t, 1, a)
	assert.Equal(t, 2, b)
	for path, want := range map[string]string{
		"outer.a": "x.yaml:3: outer.a", "outer.missing": "x.yaml:2: outer.missing", "list[0].b": "x.yaml:5: list[0].b", "list[0].c": "x.yaml:5: list[0].c",
		"list[7]": "x.yaml:4: list[7]", "missing": "x.yaml:2: missing", "": "x.yaml:2",
	} {
		assert.Equal(t, want, doc.Place(path))
	}
}

func TestRead_AReaderThatFailsIsNamed(t *testing.T) {
	_, err := strict.Read("x.yaml", iotest.ErrReader(errors.New("the disk is gone")), strict.Fields{})
	assert.EqualError(t, err, "x.yaml: the disk is gone")
}

func TestRead_AFailedFieldKeepsWhatWasThere(t *testing.T) {
	n, share, on := 7, 0.5, true
	_, err := strict.Read("x.yaml", strings.NewReader("n: many\nshare: 5 %%\non: ja\n"), strict.Fields{"n": strict.Whole(&n), "share": strict.Share(&share), "on": strict.Bool(&on)})
	assert.EqualError(t, err, "x.yaml:1: n: \"many\" is no whole number\nx.yaml:2: share: \"5 %%\" is no share; write 5% or 0.05\nx.yaml:3: on: \"ja\" is neither true nor false")
	assert.Equal(t, 7, n)
	assert.InDelta(t, 0.5, share, 0)
	assert.True(t, on)
}
