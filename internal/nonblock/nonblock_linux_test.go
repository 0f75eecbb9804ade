package nonblock_test

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tidingsmesh/tidings/internal/nonblock"
)

func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	return fds[0], fds[1]
}

func TestSendAndRead_NeverWait(t *testing.T) {
	a, b := pair(t)
	defer nonblock.Close(a)
	buffer := make([]byte, 16)
	_, errno := nonblock.Read(b, buffer)
	assert.Equal(t, syscall.EAGAIN, errno, "nothing is there")

	n, errno := nonblock.Send(a, []byte("hello"))
	require.Zero(t, errno)
	assert.Equal(t, 5, n)
	n, errno = nonblock.Read(b, buffer)
	require.Zero(t, errno)
	assert.Equal(t, "hello", string(buffer[:n]))

	sent := 0
	for errno == 0 {
		n, errno = nonblock.Send(a, make([]byte, 1<<16))
		sent += n
	}
	assert.Equal(t, syscall.EAGAIN, errno, "it is full")
	assert.Positive(t, sent)

	nonblock.Close(b)
	_, errno = nonblock.Send(a, []byte("x"))
	assert.Equal(t, syscall.EPIPE, errno, "and no signal")
}

func TestRead_AtTheEndIsZeroAndNoError(t *testing.T) {
	a, b := pair(t)
	defer nonblock.Close(b)
	nonblock.Close(a)
	n, errno := nonblock.Read(b, make([]byte, 1))
	assert.Zero(t, n)
	assert.Zero(t, errno)
}

func TestWait_TellsWhatIsReady(t *testing.T) {
	a, b := pair(t)
	defer nonblock.Close(a)
	defer nonblock.Close(b)
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	require.NoError(t, err)
	defer nonblock.Close(epoll)
	require.NoError(t, unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, b, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(b)}))
	events := make([]unix.EpollEvent, 4)
	n, errno := nonblock.Wait(epoll, events)
	require.Zero(t, errno)
	assert.Zero(t, n, "and does not wait for it")

	_, errno = nonblock.Send(a, []byte("x"))
	require.Zero(t, errno)
	n, errno = nonblock.Wait(epoll, events)
	require.Zero(t, errno)
	require.Equal(t, 1, n)
	assert.Equal(t, int32(b), events[0].Fd)
}

func TestAccept_TellsThePeersAddress(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		listener, err := net.Listen("tcp", address)
		if address[0] == '[' && err != nil {
			continue // a machine without IPv6
		}
		require.NoError(t, err)
		tcp, ok := listener.(*net.TCPListener)
		require.True(t, ok)
		raw, err := tcp.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(l uintptr) {
			_, _, errno := nonblock.Accept(int(l))
			assert.Equal(t, syscall.EAGAIN, errno, "nobody is there")

			client, err := net.Dial("tcp", listener.Addr().String()) // connected is accepted, as far as the kernel goes
			require.NoError(t, err)
			defer func() { _ = client.Close() }()
			fd, peer, errno := nonblock.Accept(int(l))
			require.Zero(t, errno)
			defer nonblock.Close(fd)
			assert.Equal(t, netip.MustParseAddrPort(client.LocalAddr().String()), peer)

			require.Zero(t, nonblock.Set(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
			got, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY)
			require.NoError(t, err)
			assert.Equal(t, 1, got)
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			require.NoError(t, err)
			assert.NotZero(t, flags&unix.O_NONBLOCK)
		}))
		require.NoError(t, listener.Close())
	}
}
