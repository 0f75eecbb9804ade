package edge_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
)

// BenchmarkJoin is a new client each time: it connects, sends its handshake and hello at once, and is gone when it
// has joined. The edge follows the room already, for somebody else, or has to begin to: a fence and a read.
func BenchmarkJoin(b *testing.B) {
	w := newWorld(b)
	for _, followed := range []bool{true, false} {
		b.Run(fmt.Sprintf("followed=%t", followed), func(b *testing.B) {
			n := w.start(b, func(s *settings) {
				s.edge.Limits.PerUser, s.edge.Limits.PerAddress = 1<<20, 1<<20
				s.level = slog.LevelError
			})
			hello := `{"op":"hello","token":"` + token(b, "campaign:*") + `","rooms":["%s"]}`
			name := room(b).String()
			if followed {
				r := room(b)
				n.join(b, r)
				name = r.String()
			}
			first := textFrame(fmt.Sprintf(hello, name))
			in := bufio.NewReaderSize(nil, 4096)
			b.ReportAllocs()
			for b.Loop() {
				if !followed {
					first = textFrame(fmt.Sprintf(hello, room(b)))
				}
				c := n.visit(b, in, handshake+first)
				c.frame(b, wire.OpWelcome)
				c.frame(b, wire.OpJoined)
				require.NoError(b, c.conn.SetLinger(0)) // no port is kept busy
				require.NoError(b, c.conn.Close())
			}
		})
	}
}

// BenchmarkReplay is a client that has missed a hundred events and joins again, over a connection that it has. The
// ring holds them, or they are read from the stream. What each event costs is in ns/event.
func BenchmarkReplay(b *testing.B) {
	const missed = 100
	w := newWorld(b)
	for _, c := range []struct {
		from string
		ring int // entries
	}{{"ring", 256}, {"stream", 1}} {
		b.Run("from="+c.from, func(b *testing.B) {
			n := w.start(b, func(s *settings) {
				s.feed.RingEntries = c.ring
				s.edge.Limits.JoinRate, s.edge.Limits.JoinBurst = 1<<20, 1<<20
				s.level = slog.LevelError
			})
			r := room(b)
			stay := n.join(b, r)
			since := stay.pos[r.String()]
			seqs := w.publish(b, r, missed, 100)
			require.Equal(b, seqs, stay.events(b, r, since.Seq, missed))

			client := n.visit(b, bufio.NewReaderSize(nil, 64<<10), handshake+helloFrame(b, r))
			defer func() { _ = client.conn.Close() }()
			client.frame(b, wire.OpWelcome)
			client.frame(b, wire.OpJoined)
			again := []byte(textFrame(fmt.Sprintf(`{"op":"join","rooms":[{"room":%q,"since":{"epoch":%q,"seq":%d,"ts":%d}}]}`,
				r, since.Epoch, since.Seq, since.TS)))
			answered := []byte(`"recovered":true,"replay":` + strconv.Itoa(missed))
			b.ReportAllocs()
			for b.Loop() {
				_, err := client.conn.Write(again)
				require.NoError(b, err)
				if joined := client.frame(b, wire.OpJoined); !bytes.Contains(joined, answered) {
					b.Fatalf("%s", joined)
				}
				for range missed {
					client.frame(b, wire.OpEvent)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*missed), "ns/event")
		})
	}
}

// visitor is a client that allocates nothing for what it reads.
type visitor struct {
	conn *net.TCPConn
	in   *bufio.Reader
}

// visit connects, sends a handshake with what follows it, and reads the answer to the handshake. The caller closes
// the connection.
func (n *node) visit(b *testing.B, in *bufio.Reader, all string) *visitor {
	conn, err := net.Dial("tcp", n.addr)
	require.NoError(b, err)
	tcp, ok := conn.(*net.TCPConn)
	require.True(b, ok)
	require.NoError(b, tcp.SetDeadline(time.Now().Add(patience)))
	in.Reset(tcp)
	_, err = tcp.Write([]byte(all))
	require.NoError(b, err)
	for {
		line, err := in.ReadSlice('\n')
		require.NoError(b, err)
		if len(line) == len("\r\n") {
			return &visitor{tcp, in}
		}
	}
}

// frame reads a frame that must be of an op. It is valid until the next one is read.
func (v *visitor) frame(b *testing.B, op wire.Op) []byte {
	head, err := v.in.Peek(4)
	require.NoError(b, err)
	size, n := 2, int(head[1])
	if n == 126 {
		size, n = 4, int(binary.BigEndian.Uint16(head[2:]))
	}
	whole, err := v.in.Peek(size + n)
	require.NoError(b, err)
	if text := whole[size:]; !bytes.HasPrefix(text[len(`{"op":"`):], []byte(op)) {
		b.Fatalf("want %s, got %s", op, text)
	}
	_, err = v.in.Discard(size + n)
	require.NoError(b, err)
	return whole[size:]
}
