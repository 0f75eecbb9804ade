package upgrade

import (
	"context"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

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
		connectInLoop(b, ln)
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
		connectInLoop(b, ln)
		_ = ln.Close()
		<-served
	})
}

func listenLoopback(b *testing.B) net.Listener {
	b.Helper()
	ln, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	require.NoError(b, err)
	return ln
}

// connectInLoop runs a client of blocking system calls.
func connectInLoop(b *testing.B, ln net.Listener) {
	b.Helper()
	addr, ok := ln.Addr().(*net.TCPAddr)
	require.True(b, ok)
	server := &syscall.SockaddrInet4{Port: addr.Port, Addr: [4]byte{127, 0, 0, 1}}
	buf := make([]byte, 4096)
	var before, after syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	b.ReportAllocs()
	for b.Loop() {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		require.NoError(b, err)
		require.NoError(b, syscall.Connect(fd, server))
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
