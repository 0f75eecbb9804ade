package e2e_test

import (
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
)

func TestServe_ASignalEndsItInOrderAndASecondOneAtOnce(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			s := serve(t, "--drain", "10m")
			c := s.dial(t, t.Context(), "campaign:42")
			c.next(t, t.Context(), wire.OpJoined)
			require.NoError(t, s.cmd.Process.Signal(signal))
			assert.EqualValues(t, 600_000, c.next(t, t.Context(), wire.OpDrain).Within)

			require.NoError(t, s.cmd.Process.Signal(signal))
			_, _, err := c.conn.Read(t.Context())
			assert.Equal(t, websocket.StatusCode(wire.CodeDraining), websocket.CloseStatus(err))
			s.awaitEnd(t)
			assert.Contains(t, s.log.String(), "msg=stopped")
		})
	}
}
