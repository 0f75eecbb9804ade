package frames

import (
	"bytes"
	"compress/flate"
	"testing"

	"github.com/gobwas/ws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func discard(Frame) error { return nil }

// TestReader_KeepsNothingBetweenMessages feeds single bytes and looks at what
// stays after each frame.
func TestReader_KeepsNothingBetweenMessages(t *testing.T) {
	t.Parallel()
	text := "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
	ping := "\x89\x81\x00\x00\x00\x00p"
	empty := "\x81\x80\x00\x00\x00\x00"
	fragmented := "\x01\x81\x00\x00\x00\x00a" + ping + "\x80\x81\x00\x00\x00\x00b"
	deflated := "\xc1\x87\x00\x00\x00\x00\xf2\x48\xcd\xc9\xc9\x07\x00"
	r := NewReader(DefaultMessageLimit, true)
	for _, stream := range []string{text, ping, empty, fragmented, deflated, text} {
		for i := range len(stream) {
			require.NoError(t, r.Feed([]byte{stream[i]}, discard))
			assert.Equal(t, i == len(stream)-1, r.partial == nil, "byte %d of %q", i, stream)
		}
	}
	require.Error(t, r.Feed([]byte("\x01\x81\x00\x00\x00\x00a\xff"), discard))
	assert.Nil(t, r.partial, "after an error")
}

// TestReader_HoldsWhatArrivedNotWhatWasAnnounced also checks the bound.
func TestReader_HoldsWhatArrivedNotWhatWasAnnounced(t *testing.T) {
	t.Parallel()
	r := NewReader(DefaultMessageLimit, false)
	require.NoError(t, r.Feed([]byte("\x81\xfe\x40\x00\x00\x00\x00\x00a"), discard))
	assert.LessOrEqual(t, cap(r.partial.payload), 64)
	for range DefaultMessageLimit - 2 {
		require.NoError(t, r.Feed([]byte("a"), discard))
		require.LessOrEqual(t, cap(r.partial.payload), DefaultMessageLimit+ws.MaxControlFramePayloadSize)
	}
	require.NoError(t, r.Feed([]byte("a"), discard))
	assert.Nil(t, r.partial)
}

// TestInflater_HoldsNoMoreThanTheLimitOfABomb has 16 MiB in 16 KiB.
func TestInflater_HoldsNoMoreThanTheLimitOfABomb(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	require.NoError(t, err)
	_, err = w.Write(bytes.Repeat([]byte(" "), 16<<20))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	bomb := bytes.TrimSuffix(out.Bytes(), []byte(flushTail))
	require.LessOrEqual(t, len(bomb), DefaultMessageLimit)

	d, ok := inflaters.New().(*inflater)
	require.True(t, ok)
	_, err = d.inflate(bomb, DefaultMessageLimit)
	require.Same(t, errTooBig, err)
	assert.LessOrEqual(t, cap(d.out), 2*DefaultMessageLimit)
}
