package upgrade_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/frames"
	"github.com/tidingsmesh/tidings/edge/upgrade"
)

func TestAcceptor_PassesPlainRequestsToTheHTTPServer(t *testing.T) {
	bothWays(t, testPassesPlainRequestsToTheHTTPServer)
}

func testPassesPlainRequestsToTheHTTPServer(t *testing.T) {
	t.Helper()
	t.Parallel()
	body := strings.Repeat("0123456789", 1000) // does not fit the head's buffer
	tests := []struct{ name, request, want string }{
		{"GET", request("GET /echo HTTP/1.1", "Host: a"), "GET a HTTP/1.1 tls=false:"},
		{"HTTP/1.0 without Host", request("GET /echo HTTP/1.0"), "GET  HTTP/1.0 tls=false:"},
		{"absolute form", request("GET http://b/echo HTTP/1.1", "Host: a"), "GET b HTTP/1.1 tls=false:"},
		{"POST with its body", request("POST /echo HTTP/1.1", "Host: a", "Content-Length: 5") + "hello", "POST a HTTP/1.1 tls=false:hello"},
		{"POST with a long body", request("POST /echo HTTP/1.1", "Host: a", "Content-Length: 10000") + body, "POST a HTTP/1.1 tls=false:" + body},
		{"a chunked body", request("POST /echo HTTP/1.1", "Host: a", "Transfer-Encoding: chunked") + "3\r\nabc\r\n0\r\n\r\n", "POST a HTTP/1.1 tls=false:abc"},
		{"an upgrade elsewhere", request("GET /echo HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: h2c"), "GET a HTTP/1.1 tls=false:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, bytewise := range []bool{false, true} {
				s := serve(t, nil)
				client := s.dial(t)
				send(t, client, test.request, bytewise)
				got := readAnswer(t, client)
				assert.Equal(t, http.StatusOK, got.StatusCode)
				assert.Equal(t, test.want, got.body)
				assert.Empty(t, s.refusals)
			}
		})
	}
}

func TestAcceptor_KeepsHTTPConnectionsAlive(t *testing.T) { bothWays(t, testKeepsHTTPConnectionsAlive) }

func testKeepsHTTPConnectionsAlive(t *testing.T) {
	t.Helper()
	t.Parallel()
	s := serve(t, nil)
	client := s.dial(t)
	one := request("POST /echo HTTP/1.1", "Host: a", "Content-Length: 1")
	send(t, client, one+"1"+one+"2"+one+"3", false) // pipelined, in one segment
	reader := bufio.NewReader(client)
	for i := 1; i <= 3; i++ {
		assert.Equal(t, fmt.Sprintf("POST a HTTP/1.1 tls=false:%d", i), readAnswer(t, reader).body)
	}
}

func TestAcceptor_LeavesUnusualRequestsToTheHTTPServer(t *testing.T) {
	bothWays(t, testLeavesUnusualRequestsToTheHTTPServer)
}

func testLeavesUnusualRequestsToTheHTTPServer(t *testing.T) {
	t.Helper()
	t.Parallel()
	for _, test := range []struct {
		request string
		status  int
	}{
		{request("GET /nowhere HTTP/1.1", "Host: a"), http.StatusNotFound},
		{request("GET /echo HTTP/1.1"), http.StatusBadRequest},
		{request("GET /echo HTTP/1.1", "Host: a", "Host: b"), http.StatusBadRequest},
		{request("GET echo HTTP/1.1", "Host: a"), http.StatusBadRequest},
		{request("POST /echo HTTP/1.1", "Host: a", "Content-Length: x"), http.StatusBadRequest},
		{request("GET /ws HTTP/1.1", "Host: a"), http.StatusUpgradeRequired},
		{request("POST /ws HTTP/1.1", "Host: a", "Content-Length: 0"), http.StatusUpgradeRequired},
		{with("/ws", "/%77s"), http.StatusUpgradeRequired},
		{with("/ws", "/ws/"), http.StatusNotFound},
		{with("/ws", "/WS"), http.StatusNotFound},
		{with("/ws", "http://server.example.com/ws"), http.StatusUpgradeRequired},
	} {
		s := serve(t, nil)
		client := s.dial(t)
		send(t, client, test.request, false)
		assert.Equal(t, test.status, readAnswer(t, client).StatusCode, "%q", test.request)
		assert.Empty(t, s.conns)
	}
}

func TestAcceptor_UpgradesALaterRequestOfAnHTTPConnection(t *testing.T) {
	bothWays(t, testUpgradesALaterRequestOfAnHTTPConnection)
}

func testUpgradesALaterRequestOfAnHTTPConnection(t *testing.T) {
	t.Helper()
	t.Parallel()
	first := request("POST /echo HTTP/1.1", "Host: a", "Content-Length: 1") + "1"
	filler := strings.Repeat("x", 5000) // more than net/http reads at once
	for name, pieces := range map[string][]string{
		"one after the other":            {first, with("chat", filler) + string(hello)},
		"in one segment":                 {first + handshake + string(hello)},
		"in one segment, more than 4096": {first + plus("X: "+filler[:3300]) + strings.Repeat(string(hello), 200)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, nil)
			client := s.dial(t)
			reader := bufio.NewReader(client)
			for i, piece := range pieces {
				send(t, client, piece, false)
				if i == 0 {
					assert.Equal(t, "POST a HTTP/1.1 tls=false:1", readAnswer(t, reader).body)
				}
			}
			got := readAnswer(t, reader)
			assert.Equal(t, http.StatusSwitchingProtocols, got.StatusCode)
			assert.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", got.Header.Get("Sec-WebSocket-Accept"))
			conn := s.delivered(t)
			assert.Equal(t, "server.example.com", conn.Request.Host)
			assert.True(t, conn.Request.RemoteAddr.IsLoopback())
			assert.IsType(t, &net.TCPConn{}, conn.Conn)
			count := max(1, strings.Count(strings.Join(pieces, ""), string(hello)))
			assertNext(t, []byte(strings.Repeat(string(hello), count)), conn)
		})
	}
}

func TestAcceptor_RefusesABadLaterRequestByTheSameRules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		request string
		status  int
		reason  string
	}{
		{plus("Origin: http://server.example.com"), 400, upgrade.ReasonHandshake},
		{plus("Content-Length: 0"), 400, upgrade.ReasonHandshake},
		{plus("Transfer-Encoding: chunked") + "0\r\n\r\n", 400, upgrade.ReasonHandshake},
		{with("Version: 13", "Version: 8"), 426, upgrade.ReasonVersion},
		{with("tidings.v1", "tidings.v2"), 400, upgrade.ReasonSubprotocol},
		{with("Origin: http://server", "Origin: http://evil"), 403, upgrade.ReasonOrigin},
		{plus("Authorization: Bearer"), 401, upgrade.ReasonToken},
		{plus("Authorization: Bearer refuse"), 429, "too_many"},
		{plus("X: " + strings.Repeat("x", 8192)), 431, upgrade.ReasonHeadTooLarge},
		{plus(strings.TrimSuffix(strings.Repeat("X: y\r\n", 65), "\r\n")), 431, upgrade.ReasonTooManyHeaders},
	} {
		s := serve(t, func(cfg *upgrade.Config) { cfg.Check = refuseToken })
		client := s.dial(t)
		reader := bufio.NewReader(client)
		send(t, client, request("GET /echo HTTP/1.1", "Host: a"), false)
		require.Equal(t, http.StatusOK, readAnswer(t, reader).StatusCode)
		send(t, client, test.request, false)
		got := readAnswer(t, reader)
		assert.Equal(t, test.status, got.StatusCode, "%q", test.request)
		assert.True(t, got.Close)
		assert.Equal(t, test.reason, s.refused(t))
	}
}

func TestAcceptor_RefusesARequestWhoseConnectionItCannotHave(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(handshake)))
	require.NoError(t, err)
	w := httptest.NewRecorder() // like HTTP/2, it cannot be hijacked
	s.ServeHTTP(w, r)
	assert.Equal(t, http.StatusUpgradeRequired, w.Code)
	assert.Equal(t, upgrade.ReasonNotUpgrade, s.refused(t))
}

func TestAcceptor_UpgradesNothingAfterServeEnded(t *testing.T) {
	t.Parallel()
	cfg := upgrade.DefaultConfig()
	cfg.Deliver = func(upgrade.Conn) { assert.Fail(t, "delivered") }
	a, err := upgrade.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, a.Serve(t.Context()))
	server := httptest.NewServer(a)
	defer server.Close()
	client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { _ = client.Close() }()
	send(t, client, handshake, false)
	assert.Equal(t, http.StatusServiceUnavailable, readAnswer(t, client).StatusCode)
}

func TestAcceptor_ServesTLS(t *testing.T) {
	t.Parallel()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	plain, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ln := tls.NewListener(plain, &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12})
	s := serveOn(t, ln, slog.New(slog.DiscardHandler), nil)
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	dial := func() net.Conn {
		client := tls.Client(s.dial(t), &tls.Config{RootCAs: roots, ServerName: "example.com", MinVersion: tls.VersionTLS12})
		require.NoError(t, client.HandshakeContext(t.Context()))
		return client
	}

	t.Run("WebSocket", func(t *testing.T) {
		client := dial()
		send(t, client, handshake+string(hello), false)
		assert.Equal(t, http.StatusSwitchingProtocols, readAnswer(t, client).StatusCode)
		conn := s.delivered(t)
		assert.IsType(t, &tls.Conn{}, conn.Conn)
		assertNext(t, hello, conn)
	})
	t.Run("HTTP, then WebSocket", func(t *testing.T) {
		client := dial()
		reader := bufio.NewReader(client)
		send(t, client, request("GET /echo HTTP/1.1", "Host: a"), false)
		assert.Equal(t, "GET a HTTP/1.1 tls=true:", readAnswer(t, reader).body)
		send(t, client, handshake+string(hello), false)
		assert.Equal(t, http.StatusSwitchingProtocols, readAnswer(t, reader).StatusCode)
		conn := s.delivered(t)
		assert.IsType(t, &tls.Conn{}, conn.Conn)
		assertNext(t, hello, conn)
	})
	t.Run("a refusal", func(t *testing.T) {
		client := dial()
		send(t, client, with("Version: 13", "Version: 8"), false)
		assert.Equal(t, http.StatusUpgradeRequired, readAnswer(t, client).StatusCode)
		assert.Equal(t, upgrade.ReasonVersion, s.refused(t))
	})
	t.Run("plain HTTP is told so", func(t *testing.T) {
		client := s.dial(t)
		send(t, client, handshake, false)
		got := readAnswer(t, client)
		assert.Equal(t, http.StatusBadRequest, got.StatusCode)
		assert.Contains(t, got.body, "TLS")
		assert.Equal(t, upgrade.ReasonTLS, s.refused(t))
	})
	t.Run("noise", func(t *testing.T) {
		client := s.dial(t)
		send(t, client, strings.Repeat("\x00", 100), false)
		_, _ = io.Copy(io.Discard, client)
		assert.Equal(t, upgrade.ReasonTLS, s.refused(t))
	})
}

func TestAcceptor_AdmitsAForeignClient(t *testing.T) { bothWays(t, testAdmitsAForeignClient) }

func testAdmitsAForeignClient(t *testing.T) {
	t.Helper()
	t.Parallel()
	s := serve(t, nil)
	//nolint:bodyclose // the client owns the body of a 101 response
	client, _, err := websocket.Dial(t.Context(), "ws://"+s.addr+"/ws?a=b", &websocket.DialOptions{
		Subprotocols: []string{"tidings.v0", "tidings.v1"},
		HTTPHeader:   http.Header{"Origin": {"http://" + s.addr}},
	})
	require.NoError(t, err)
	assert.Equal(t, "tidings.v1", client.Subprotocol())

	conn := s.delivered(t)
	echoed := make(chan error, 1)
	go func() { echoed <- echo(conn) }()
	for _, text := range []string{"", "hello", strings.Repeat("é", 8000)} {
		require.NoError(t, client.Write(t.Context(), websocket.MessageText, []byte(text)))
		kind, got, err := client.Read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, websocket.MessageText, kind)
		assert.Equal(t, text, string(got))
	}
	require.NoError(t, client.Close(websocket.StatusNormalClosure, "bye"))
	require.NoError(t, <-echoed)
}

// echo answers text with text and a close with a close.
func echo(conn upgrade.Conn) error {
	defer func() { _ = conn.Close() }()
	reader := frames.NewReader(frames.DefaultMessageLimit, false)
	closed := false
	answer := func(f frames.Frame) error {
		var frame []byte
		switch {
		case f.Code != 0:
			closed = true
			frame = frames.AppendClose(nil, f.Code, string(f.Payload))
		default:
			frame = frames.AppendText(nil, f.Payload)
		}
		_, err := conn.Write(frame)
		return err
	}
	buf := make([]byte, 4096)
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for b := conn.Early; ; {
		if err := reader.Feed(b, answer); err != nil || closed {
			return err
		}
		n, err := conn.Read(buf)
		if err != nil {
			return err
		}
		b = buf[:n]
	}
}
