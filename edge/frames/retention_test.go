package frames

import (
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
	r := NewReader(DefaultMessageLimit)
	for _, stream := range []string{text, ping, empty, fragmented, text} {
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
	r := NewReader(DefaultMessageLimit)
	require.NoError(t, r.Feed([]byte("\x81\xfe\x40\x00\x00\x00\x00\x00a"), discard))
	assert.LessOrEqual(t, cap(r.partial.payload), 64)
	for range DefaultMessageLimit - 2 {
		require.NoError(t, r.Feed([]byte("a"), discard))
		require.LessOrEqual(t, cap(r.partial.payload), DefaultMessageLimit+ws.MaxControlFramePayloadSize)
	}
	require.NoError(t, r.Feed([]byte("a"), discard))
	assert.Nil(t, r.partial)
}
