package upgrade

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// browserHead is what Chrome sends.
const browserHead = "GET /ws HTTP/1.1\r\n" +
	"Host: app.example.org\r\n" +
	"Connection: Upgrade\r\n" +
	"Pragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n" +
	"Upgrade: websocket\r\n" +
	"Origin: https://app.example.org\r\n" +
	"Sec-WebSocket-Version: 13\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
	"Sec-WebSocket-Protocol: tidings.v1\r\n\r\n"

func BenchmarkParseAndExamine(b *testing.B) {
	a := newForBenchmark(b, func(Conn) {})
	remote := netip.MustParseAddr("127.0.0.1")
	raw := []byte(browserHead)
	b.ReportAllocs()
	for b.Loop() {
		var scanner headScanner
		size, _ := scanner.scan(raw, a.cfg.MaxHeaders)
		h, refusal := parseHead(raw[:size], a.cfg.Subprotocol)
		if refusal != nil || !a.isUpgrade(&h) {
			b.Fatal(refusal)
		}
		if _, refusal = a.examine(&h, remote); refusal != nil {
			b.Fatal(refusal)
		}
	}
}

func BenchmarkSwitchProtocols(b *testing.B) {
	a := newForBenchmark(b, func(Conn) {})
	raw := []byte(browserHead)
	b.ReportAllocs()
	for b.Loop() {
		if err := a.switchProtocols(io.Discard, raw); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoopback connects over a real socket, one client after the other.
// cpu-µs/op is the CPU of the whole process; "floor" is the same client with a
// server that does no more than accept, read, write a canned answer and close,
// so their difference is the price of the accept path.
func BenchmarkLoopback(b *testing.B) {
	b.Run("acceptor", func(b *testing.B) {
		ln := listenLoopback(b)
		a := newForBenchmark(b, func(conn Conn) { _ = conn.Close() })
		ctx, cancel := context.WithCancel(b.Context())
		served := make(chan error)
		go func() { served <- a.Serve(ctx, ln) }()
		connectInLoop(b, ln.Addr().(*net.TCPAddr).Port)
		cancel()
		require.NoError(b, <-served)
	})
	b.Run("floor", func(b *testing.B) {
		ln := listenLoopback(b)
		answer := []byte("HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("x", 120) + "\r\n\r\n")
		served := make(chan struct{})
		go func() {
			defer close(served)
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					buf := make([]byte, 1024)
					_, _ = conn.Read(buf)
					_, _ = conn.Write(answer)
					_ = conn.Close()
				}()
			}
		}()
		connectInLoop(b, ln.Addr().(*net.TCPAddr).Port)
		_ = ln.Close()
		<-served
	})
}

func newForBenchmark(b *testing.B, deliver func(Conn)) *Acceptor {
	b.Helper()
	cfg := DefaultConfig()
	cfg.Deliver = deliver
	a, err := New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	return a
}

func listenLoopback(b *testing.B) net.Listener {
	b.Helper()
	ln, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	return ln
}

// connectInLoop runs a client of blocking system calls.
func connectInLoop(b *testing.B, port int) {
	b.Helper()
	buf := make([]byte, 4096)
	var before, after syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	b.ReportAllocs()
	for b.Loop() {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		require.NoError(b, err)
		require.NoError(b, syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}))
		_, err = syscall.Write(fd, []byte(browserHead))
		require.NoError(b, err)
		n, err := syscall.Read(fd, buf)
		require.NoError(b, err)
		require.True(b, strings.HasPrefix(string(buf[:n]), "HTTP/1.1 101 "))
		for n > 0 { // the server closes first
			n, err = syscall.Read(fd, buf)
			require.NoError(b, err)
		}
		require.NoError(b, syscall.Close(fd))
	}
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(cpu)/1e3/float64(b.N), "cpu-µs/op")
}
