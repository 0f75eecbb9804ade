package upgrade_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/upgrade"
)

// pipeListener accepts net.Pipe connections, which have deadlines and work with
// the clock of testing/synctest. failures are returned by Accept first.
type pipeListener struct {
	conns    chan net.Conn
	failures chan error
	closed   chan struct{}
	close    sync.Once
}

func newPipeListener(failures ...error) *pipeListener {
	l := &pipeListener{conns: make(chan net.Conn), failures: make(chan error, len(failures)), closed: make(chan struct{})}
	for _, err := range failures {
		l.failures <- err
	}
	return l
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.failures:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: err}
	default:
	}
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.close.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// dial returns false if nobody accepts before everything waits.
func (l *pipeListener) dial() (net.Conn, bool) {
	client, conn := net.Pipe()
	synctest.Wait()
	select {
	case l.conns <- conn:
		return client, true
	default:
		return nil, false
	}
}

// bubble is an Acceptor inside a synctest bubble.
type bubble struct {
	*pipeListener
	acceptor *upgrade.Acceptor
	conns    chan upgrade.Conn
	refusals chan string
	stop     func() error // shuts down and waits
}

func newBubble(t *testing.T, ln *pipeListener, log *slog.Logger, change func(*upgrade.Config)) *bubble {
	t.Helper()
	b := &bubble{pipeListener: ln, conns: make(chan upgrade.Conn, 10), refusals: make(chan string, 10)}
	cfg := upgrade.DefaultConfig()
	cfg.Deliver = func(conn upgrade.Conn) { b.conns <- conn }
	cfg.OnRefuse = func(reason string) { b.refusals <- reason }
	if change != nil {
		change(&cfg)
	}
	var err error
	b.acceptor, err = upgrade.New(cfg, log)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- b.acceptor.Serve(ctx, ln) }()
	b.stop = sync.OnceValue(func() error { cancel(); return <-served })
	t.Cleanup(func() { assert.NoError(t, b.stop()) })
	return b
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestAcceptor_GivesAHandshakeFiveSecondsInTotal(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		sent int // bytes of the handshake, one each time
		each time.Duration
	}{
		{"slow head", 100, 100 * time.Millisecond},
		{"all but the last byte", len(handshake) - 1, time.Millisecond},
		{"slow from the start", 100, 4 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, newPipeListener(), quiet(), nil)
				began := time.Now()
				client, ok := b.dial()
				require.True(t, ok)
				go func() {
					for i := range test.sent {
						if _, err := client.Write([]byte{handshake[i]}); err != nil {
							return
						}
						timer := time.NewTimer(test.each)
						select {
						case <-timer.C:
						case <-t.Context().Done():
							return
						}
					}
				}()
				got := readAnswer(t, client)
				assert.Equal(t, http.StatusRequestTimeout, got.StatusCode)
				assert.Equal(t, 5*time.Second, time.Since(began))
				assert.Equal(t, upgrade.ReasonTimeout, <-b.refusals)
			})
		})
	}
}

func TestAcceptor_CountsTheTLSHandshakeIntoTheTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refusals := make(chan string, 2)
		cfg := upgrade.DefaultConfig()
		cfg.Deliver = func(upgrade.Conn) {}
		cfg.OnRefuse = func(reason string) { refusals <- reason }
		a, err := upgrade.New(cfg, quiet())
		require.NoError(t, err)
		ln := newPipeListener()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		served := make(chan error, 1)
		go func() { served <- a.Serve(ctx, tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12})) }()

		began := time.Now()
		for _, hold := range []bool{true, false} {
			client, ok := ln.dial()
			require.True(t, ok)
			_, err = io.WriteString(client, "\x16\x03\x01\x02") // a ClientHello begins
			require.NoError(t, err)
			if !hold {
				synctest.Wait()
				cancel()
			}
			_, err = io.ReadAll(client)
			require.NoError(t, err)
			assert.Equal(t, upgrade.ReasonTLS, <-refusals)
			assert.Equal(t, 5*time.Second, time.Since(began))
		}
		require.NoError(t, <-served)
	})
}

func TestAcceptor_AdmitsAHandshakeJustInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, newPipeListener(), quiet(), nil)
		client, ok := b.dial()
		require.True(t, ok)
		_, err := io.WriteString(client, handshake[:10])
		require.NoError(t, err)
		<-time.After(5*time.Second - 1)
		go func() { _, _ = io.WriteString(client, handshake[10:]) }()
		assert.Equal(t, http.StatusSwitchingProtocols, readAnswer(t, client).StatusCode)
		conn := <-b.conns

		// The deadline is gone.
		<-time.After(time.Hour)
		go func() { _, _ = client.Write(hello) }()
		buf := make([]byte, len(hello))
		_, err = io.ReadFull(conn, buf)
		require.NoError(t, err)
		assert.False(t, conn.Request.RemoteAddr.IsValid(), "a pipe has no address")
	})
}

func TestAcceptor_ClosesSilentlyWhenNothingCameOrTheClientLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, newPipeListener(), quiet(), nil)
		client, ok := b.dial()
		require.True(t, ok)
		all, err := io.ReadAll(client)
		require.NoError(t, err)
		assert.Empty(t, all)
		assert.Equal(t, upgrade.ReasonTimeout, <-b.refusals)

		for _, sent := range []string{"", handshake[:1], handshake[:len(handshake)-1]} {
			client, ok = b.dial()
			require.True(t, ok)
			_, err = io.WriteString(client, sent)
			require.NoError(t, err)
			require.NoError(t, client.Close())
			assert.Equal(t, upgrade.ReasonDisconnect, <-b.refusals)
		}
	})
}

func TestAcceptor_GivesUpOnAClientThatDoesNotReadItsAnswer(t *testing.T) {
	t.Parallel()
	for _, data := range []string{handshake, with("GET", "POST")} {
		synctest.Test(t, func(t *testing.T) {
			b := newBubble(t, newPipeListener(), quiet(), nil)
			client, ok := b.dial()
			require.True(t, ok)
			_, err := io.WriteString(client, data)
			require.NoError(t, err)
			<-b.refusals
			assert.NoError(t, b.stop())
			assert.Empty(t, b.conns)
		})
	}
}

func TestAcceptor_PausesAcceptingAtMaxPending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := newBubble(t, newPipeListener(), slog.New(slog.NewTextHandler(&log, nil)), func(cfg *upgrade.Config) { cfg.MaxPending = 3 })
		var clients [3]net.Conn
		for i := range clients {
			client, ok := b.dial()
			require.True(t, ok, "client %d", i)
			clients[i] = client
		}
		_, ok := b.dial()
		require.False(t, ok, "one above the limit")
		assert.Equal(t, 1, strings.Count(log.String(), "too many handshakes are pending"))

		go func() { _, _ = io.WriteString(clients[1], handshake) }()
		assert.Equal(t, http.StatusSwitchingProtocols, readAnswer(t, clients[1]).StatusCode)
		_, ok = b.dial()
		require.True(t, ok, "one was delivered")
		_, ok = b.dial()
		require.False(t, ok)
	})
}

func TestAcceptor_RetriesFailedAccepts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		failures := make([]error, 20)
		for i := range failures {
			failures[i] = syscall.EMFILE
		}
		failures[3] = syscall.ECONNABORTED
		began := time.Now()
		b := newBubble(t, newPipeListener(failures...), slog.New(slog.NewTextHandler(&log, nil)), nil)
		for len(b.failures) > 0 {
			<-time.After(time.Millisecond)
		}
		// 5, 10, 20 … 640 ms, then 1 s each.
		assert.InDelta(t, 12.275, time.Since(began).Seconds(), 0.1)
		<-time.After(time.Second)
		client, ok := b.dial()
		require.True(t, ok)
		go func() { _, _ = io.WriteString(client, handshake) }()
		assert.Equal(t, http.StatusSwitchingProtocols, readAnswer(t, client).StatusCode)

		assert.Equal(t, 2, strings.Count(log.String(), "cannot accept connections"), "once in ten seconds")
		assert.Contains(t, log.String(), "too many open files")
		assert.Contains(t, log.String(), "ulimit -n")
	})
}

func TestServe_EndsWhenItsListenerIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := upgrade.DefaultConfig()
		cfg.Deliver = func(upgrade.Conn) {}
		a, err := upgrade.New(cfg, quiet())
		require.NoError(t, err)
		one, other := newPipeListener(), newPipeListener()
		go func() { synctest.Wait(); _ = one.Close() }()
		require.ErrorIs(t, a.Serve(t.Context(), one, other), net.ErrClosed)
		<-other.closed

		again := newPipeListener()
		require.ErrorIs(t, a.Serve(t.Context(), again), upgrade.ErrServed)
		<-again.closed
	})
}

func TestServe_GivesUpPendingHandshakesAndKeepsDeliveredOnes(t *testing.T) {
	bothWays(t, testServeGivesUpPendingHandshakesAndKeepsDeliveredOnes)
}

func testServeGivesUpPendingHandshakesAndKeepsDeliveredOnes(t *testing.T) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		checking := make(chan struct{})
		check := func(ctx context.Context, r *upgrade.Request) *upgrade.Refusal {
			if r.Token == "" {
				return nil
			}
			close(checking)
			<-ctx.Done()
			return &upgrade.Refusal{Status: http.StatusServiceUnavailable, Reason: "check_ended"}
		}
		b := newBubble(t, newPipeListener(), quiet(), func(cfg *upgrade.Config) { cfg.Check = check })
		delivered, ok := b.dial()
		require.True(t, ok)
		go func() { _, _ = io.WriteString(delivered, handshake) }()
		require.Equal(t, http.StatusSwitchingProtocols, readAnswer(t, delivered).StatusCode)
		conn := <-b.conns

		silent, ok := b.dial()
		require.True(t, ok)
		half, ok := b.dial()
		require.True(t, ok)
		_, err := io.WriteString(half, handshake[:20])
		require.NoError(t, err)
		inCheck, ok := b.dial()
		require.True(t, ok)
		_, err = io.WriteString(inCheck, plus("Authorization: Bearer a"))
		require.NoError(t, err)
		<-checking
		plain, ok := b.dial()
		require.True(t, ok)
		_, err = io.WriteString(plain, request("GET / HTTP/1.1", "Host: a"))
		require.NoError(t, err) // waits for an HTTP server that is not there
		go func() { _, _ = io.Copy(io.Discard, plain) }()

		synctest.Wait()
		began := time.Now()
		require.NoError(t, b.stop())
		assert.Zero(t, time.Since(began))
		reasons := make(map[string]int)
		for range 4 {
			reasons[<-b.refusals]++
		}
		assert.Equal(t, map[string]int{"check_ended": 1, upgrade.ReasonShutdown: 3}, reasons)
		for _, client := range []net.Conn{silent, half, inCheck} {
			_, err := client.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
		}
		go func() { _, _ = conn.Write([]byte("x")) }()
		_, err = delivered.Read(make([]byte, 1))
		require.NoError(t, err)
	})
}

func TestHTTPListener_RefusesWhatNoServerTakes(t *testing.T) {
	bothWays(t, testRefusesWhatNoServerTakes)
}

func testRefusesWhatNoServerTakes(t *testing.T) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, newPipeListener(), quiet(), nil)
		began := time.Now()
		for _, waited := range []time.Duration{5 * time.Second, 5 * time.Second} {
			client, ok := b.dial()
			require.True(t, ok)
			go func() { _, _ = io.WriteString(client, request("GET / HTTP/1.1", "Host: a")) }()
			assert.Equal(t, http.StatusServiceUnavailable, readAnswer(t, client).StatusCode)
			assert.Equal(t, upgrade.ReasonNoHTTP, <-b.refusals)
			assert.Equal(t, waited, time.Since(began))
			require.NoError(t, b.acceptor.HTTPListener().Close()) // the next need not wait
		}
		_, err := b.acceptor.HTTPListener().Accept()
		require.ErrorIs(t, err, net.ErrClosed)
	})
}

// TestAcceptor_KeepsConcurrentHandshakesApart would see a pooled buffer that is
// used by two connections.
func TestAcceptor_KeepsConcurrentHandshakesApart(t *testing.T) {
	bothWays(t, testKeepsConcurrentHandshakesApart)
}

func testKeepsConcurrentHandshakesApart(t *testing.T) {
	t.Helper()
	t.Parallel()
	s := serve(t, func(cfg *upgrade.Config) { cfg.MaxPending = 16 })
	const clients = 300
	var wg sync.WaitGroup
	for i := range clients {
		client := s.dial(t)
		name := "c" + strconv.Itoa(i) + ".example.com"
		wg.Go(func() {
			data := strings.ReplaceAll(plus("Authorization: Bearer "+name), "server.example.com", name) + name
			_, err := io.WriteString(client, data)
			assert.NoError(t, err)
		})
	}
	for range clients {
		conn := s.delivered(t)
		assert.Equal(t, conn.Request.Host, conn.Request.Token)
		assert.Equal(t, "http://"+conn.Request.Host, conn.Request.Origin)
		assert.Equal(t, conn.Request.Host, string(conn.Early))
	}
	wg.Wait()
}
