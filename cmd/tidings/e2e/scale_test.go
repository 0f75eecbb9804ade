package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	crowd       = 10_000
	crowdEvents = 5
)

// TestServe_TenThousandInOneRoom joins ten thousand connections to one room and shows that every event reaches all, that
// the server keeps no goroutine per connection, and what an idle connection costs.
func TestServe_TenThousandInOneRoom(t *testing.T) {
	requireFiles(t, crowd+500)
	s := serve(t, "--max-per-user", strconv.Itoa(crowd), "--max-per-address", strconv.Itoa(crowd), "--transport", "auto")
	before := s.residentKiB(t)
	goroutines := s.goroutines(t)

	// A few goroutines with many connections each: the race detector allows no more than about eight thousand.
	const workers = 50
	clients := make([]*rawClient, crowd)
	grant := token(t, "campaign:42")
	each := func(do func(i int) error) {
		t.Helper()
		errs := make(chan error, workers)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := w; i < crowd; i += workers {
					if err := do(i); err != nil {
						errs <- fmt.Errorf("client %d: %w", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
	}
	start := time.Now()
	each(func(i int) (err error) {
		clients[i], err = dialRaw(s.http, grant, "campaign:42")
		return err
	})
	t.Cleanup(func() {
		for _, c := range clients {
			_ = c.conn.Close()
		}
	})
	t.Logf("%d connections joined in %s", crowd, time.Since(start).Round(time.Millisecond))

	after := s.residentKiB(t)
	t.Logf("resident memory %d KiB before, %d KiB with %d idle joined connections: %.2f KiB each",
		before, after, crowd, float64(after-before)/crowd)
	more := 0
	assert.Eventually(t, func() bool { // those of the last handshakes end in their time
		more = s.goroutines(t) - goroutines
		return more < 50
	}, patience, 20*time.Millisecond, "no goroutine per connection")
	t.Logf("goroutines: %d before, %+d with %d connections", goroutines, more, crowd)

	worker, err := nats.Connect(s.natsURL())
	require.NoError(t, err)
	defer worker.Close()
	for n := range crowdEvents {
		_, err := worker.Request("room.campaign.42", fmt.Appendf(nil, `{"id":"crowd-%d","type":"crowd"}`, n), patience)
		require.NoError(t, err)
	}
	each(func(i int) error {
		for n := range crowdEvents {
			frame, err := clients[i].read()
			if err != nil {
				return err
			}
			if !bytes.Contains(frame, fmt.Appendf(nil, `"id":"crowd-%d"`, n)) {
				return fmt.Errorf("got %s, want event %d", frame, n)
			}
		}
		return nil
	})
	t.Logf("%d events reached all %d, in order", crowdEvents, crowd)
}

// requireFiles raises the limit of open files and says what to do when that is not enough.
func requireFiles(t testing.TB, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	require.GreaterOrEqual(t, limit.Max, n, "this test needs %d open files; raise the hard limit (ulimit -Hn)", n)
	limit.Cur = limit.Max
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
}

func (s *server) residentKiB(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	require.NoError(t, err)
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, found)
	n, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return n
}

func (s *server) goroutines(t testing.TB) int {
	t.Helper()
	_, profile := s.get(t, "/debug/pprof/goroutine?debug=1")
	first, _, _ := strings.Cut(profile, "\n")
	n, err := strconv.Atoi(strings.TrimPrefix(first, "goroutine profile: total "))
	require.NoError(t, err, first)
	return n
}

// rawClient is the least client: no goroutine, small buffers.
type rawClient struct {
	conn net.Conn
	r    *bufio.Reader
}

func dialRaw(address, token, room string) (*rawClient, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	c := &rawClient{conn, bufio.NewReaderSize(conn, 1024)}
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: tidings.v1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", address)
	if err != nil {
		return nil, err
	}
	status, err := c.r.ReadString('\n')
	if err != nil || !strings.Contains(status, " 101 ") {
		return nil, fmt.Errorf("handshake: %q: %w", status, err)
	}
	for line := ""; line != "\r\n"; {
		if line, err = c.r.ReadString('\n'); err != nil {
			return nil, err
		}
	}
	hello := fmt.Sprintf(`{"op":"hello","token":%q,"rooms":[%q]}`, token, room)
	frame := []byte{0x81, 0x80 | 126}
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(hello)))
	frame = append(append(frame, 0, 0, 0, 0), hello...) // masked with zeros
	if _, err := conn.Write(frame); err != nil {
		return nil, err
	}
	for {
		answer, err := c.read()
		if err != nil {
			return nil, err
		}
		if bytes.Contains(answer, []byte(`"op":"joined"`)) {
			return c, nil
		}
		if !bytes.Contains(answer, []byte(`"op":"welcome"`)) {
			return nil, fmt.Errorf("hello was answered with %s", answer)
		}
	}
}

// read returns the payload of the next text frame.
func (c *rawClient) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(c.r, head[:2]); err != nil {
		return nil, err
	}
	size := int(head[1])
	if size == 126 {
		if _, err := io.ReadFull(c.r, head[2:]); err != nil {
			return nil, err
		}
		size = int(binary.BigEndian.Uint16(head[2:]))
	}
	if head[0] != 0x81 || size > 1<<16 {
		return nil, fmt.Errorf("unexpected frame %x", head)
	}
	payload := make([]byte, size)
	_, err := io.ReadFull(c.r, payload)
	return payload, err
}
