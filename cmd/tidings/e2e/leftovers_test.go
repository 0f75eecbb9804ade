package e2e_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
)

// descriptors counts the files that the process has open.
func (s *server) descriptors(t testing.TB) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	require.NoError(t, err)
	return len(open)
}

func TestServe_BadClientsLeaveNothingBehind(t *testing.T) {
	for _, transport := range []string{"epoll", "portable"} {
		t.Run(transport, func(t *testing.T) {
			s := serve(t, "--transport", transport, "--linger", "0s", "--handshake-timeout", "2s", "--hello-timeout", "2s",
				"--slow-timeout", "2s", "--ping", "2s", "--pong-timeout", "2s")
			s.dial(t, t.Context(), "campaign:42").next(t, t.Context(), wire.OpJoined) // the store has its files open
			descriptors, goroutines := s.descriptors(t), s.goroutines(t)

			const handshake = "GET /ws HTTP/1.1\r\nHost: tests\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: tidings.v1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			frame := func(text string) string {
				return string([]byte{0x81, 0xfe, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}) + text
			}
			hello := frame(fmt.Sprintf(`{"op":"hello","token":%q,"rooms":["campaign:42"]}`, token(t, "campaign:*")))
			join := strings.Repeat(frame(`{"op":"join","rooms":["campaign:1","campaign:2","campaign:3"]}`), 300)
			address, err := net.ResolveTCPAddr("tcp", s.http)
			require.NoError(t, err)
			var stay []net.Conn // silent until the server ends them
			for round := range 10 {
				for _, sent := range []string{
					"", "GET ", "\x00\xff\r\n\r\n", handshake, handshake + "X: " + strings.Repeat("x", 9000) + "\r\n\r\n",
					"GET /nothing HTTP/1.1\r\nHost: tests\r\nConnection: close\r\n\r\n", "POST /nothing HTTP/1.1\r\nHost: tests\r\nContent-Length: 9\r\n\r\nabc",
					handshake + "Authorization: Bearer a.b.c\r\n\r\n",
					handshake + "\r\n", handshake + "\r\n\x81", handshake + "\r\n" + frame("{{"),
					handshake + "\r\n" + frame(`{"op":"hello","token":"a.b.c"}`),
					handshake + "\r\n" + hello, handshake + "\r\n" + hello + hello[:5], handshake + "\r\n" + hello + join,
				} {
					conn, err := net.DialTCP("tcp", nil, address)
					require.NoError(t, err)
					_, err = io.WriteString(conn, sent)
					require.NoError(t, err)
					switch round % 3 {
					case 0:
						require.NoError(t, conn.Close())
					case 1: // a reset
						require.NoError(t, conn.SetLinger(0))
						require.NoError(t, conn.Close())
					default:
						stay = append(stay, conn)
					}
				}
			}
			defer func() {
				for _, conn := range stay {
					_ = conn.Close()
				}
			}()
			for _, gauge := range []string{"tidings_edge_connections 0", "tidings_mesh_rooms 0", "tidings_edge_queued_bytes 0"} {
				require.Eventually(t, func() bool {
					_, metrics := s.get(t, "/metrics")
					return strings.Contains(metrics, "\n"+gauge+"\n")
				}, patience, 50*time.Millisecond, gauge)
			}
			const few = 5 // of the store and the runtime; there were 150 clients
			assert.Eventually(t, func() bool { return s.descriptors(t) < descriptors+few }, patience, 50*time.Millisecond, "files")
			assert.Eventually(t, func() bool { return s.goroutines(t) < goroutines+few }, patience, 50*time.Millisecond, "goroutines")
			assert.NotContains(t, s.log.String(), "panic")
		})
	}
}
