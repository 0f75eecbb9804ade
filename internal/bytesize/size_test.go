package bytesize_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/internal/bytesize"
)

func TestSize_IsReadAndWritten(t *testing.T) {
	for text, want := range map[string]struct {
		size    bytesize.Size
		written string
	}{
		"0": {0, "0B"}, "200": {200, "200B"}, "512B": {512, "512B"}, "16KiB": {16 << 10, "16KiB"}, "1024 KiB": {1 << 20, "1MiB"}, "8191PiB": {},
	} {
		var s bytesize.Size
		err := s.UnmarshalText([]byte(text))
		if want.written == "" {
			require.Error(t, err, text)
			continue
		}
		require.NoError(t, err, text)
		assert.Equal(t, want.size, s, text)
		assert.Equal(t, want.written, s.String())
	}
	for _, text := range []string{"", "KiB", "-1", "1.5KiB", "1kB", "1MB", "99999999TiB", "1 0"} {
		assert.Error(t, new(bytesize.Size).UnmarshalText([]byte(text)), text)
	}
}
