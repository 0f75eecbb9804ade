package upgrade_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/upgrade"
)

// ways are how each request is sent: as a whole or in single bytes, with or
// without a frame glued to it.
var ways = []struct {
	name            string
	bytewise, glued bool
}{
	{"whole", false, false},
	{"in single bytes", true, false},
	{"with a frame", false, true},
	{"with a frame, in single bytes", true, true},
}

func TestAcceptor_AdmitsHandshakesAndLosesNoByteAfterThem(t *testing.T) {
	bothWays(t, testAdmitsHandshakesAndLosesNoByteAfterThem)
}

func testAdmitsHandshakesAndLosesNoByteAfterThem(t *testing.T) {
	t.Helper()
	t.Parallel()
	const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
	tests := []struct{ name, request, host, origin, token string }{
		{"the example of RFC 6455", handshake, "server.example.com", "http://server.example.com", ""},
		{"no origin", with("Origin: http://server.example.com\r\n", ""), "server.example.com", "", ""},
		{"names and values in other cases", with("Upgrade: websocket", "uPGRADE: WebSocket", "Connection: Upgrade", "connection: keep-alive, UPGRADE", "Sec-WebSocket-Key", "sec-websocket-key"), "server.example.com", "http://server.example.com", ""},
		{"white space around values", with("Host: server", "Host:\t server", "Version: 13", "Version:13 \t", "Connection: Upgrade", "Connection: \tkeep-alive ,  Upgrade "), "server.example.com", "http://server.example.com", ""},
		{"a query", with("/ws ", "/ws?room=campaign:42&x=%zz "), "server.example.com", "http://server.example.com", ""},
		{"an empty query", with("/ws ", "/ws? "), "server.example.com", "http://server.example.com", ""},
		{"protocols in two headers", with("chat, tidings.v1", "chat\r\nSec-WebSocket-Protocol: x,tidings.v1"), "server.example.com", "http://server.example.com", ""},
		{"a default port in Origin only", with("Origin: http://server.example.com", "Origin: http://server.example.com:80"), "server.example.com", "http://server.example.com:80", ""},
		{"a default port in Host only", with("Host: server.example.com", "Host: server.example.com:80"), "server.example.com:80", "http://server.example.com", ""},
		{"another case in Host", with("Host: server.example.com", "Host: Server.Example.COM"), "Server.Example.COM", "http://server.example.com", ""},
		{"a page over TLS", with("Origin: http://", "Origin: https://"), "server.example.com", "https://server.example.com", ""},
		{"IPv6", with("Host: server.example.com", "Host: [::1]:8080", "http://server.example.com", "http://[0:0::1]:8080"), "[::1]:8080", "http://[0:0::1]:8080", ""},
		{"a bearer token", plus("Authorization: Bearer aa.bb-cc_~+/=="), "server.example.com", "http://server.example.com", "aa.bb-cc_~+/=="},
		{"a bearer token, scheme in other case", plus("authorization: bEARER  aa"), "server.example.com", "http://server.example.com", "aa"},
		{"credentials of another scheme", plus("Authorization: Basic dTpw"), "server.example.com", "http://server.example.com", ""},
		{"an extension", plus("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x"), "server.example.com", "http://server.example.com", ""},
		{"bytes beyond ASCII in a header", plus("X-Name: Zo\xc3\xab \xff"), "server.example.com", "http://server.example.com", ""},
		{"an empty header", plus("X-Empty:"), "server.example.com", "http://server.example.com", ""},
		{"Chrome", request("GET /ws HTTP/1.1", "Host: app.example.org:8080", "Connection: Upgrade", "Pragma: no-cache", "Cache-Control: no-cache",
			"User-Agent: "+chrome, "Upgrade: websocket", "Origin: http://app.example.org:8080", "Sec-WebSocket-Version: 13",
			"Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-GB,en;q=0.9", "Cookie: a=b; c=\"d\"",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
			"Sec-WebSocket-Protocol: tidings.v1"), "app.example.org:8080", "http://app.example.org:8080", ""},
		{"Firefox", request("GET /ws HTTP/1.1", "Host: localhost", "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
			"Accept: */*", "Accept-Language: en-US,en;q=0.5", "Accept-Encoding: gzip, deflate, br, zstd", "Sec-WebSocket-Version: 13",
			"Origin: http://localhost", "Sec-WebSocket-Protocol: tidings.v1", "Sec-WebSocket-Extensions: permessage-deflate",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "DNT: 1", "Sec-GPC: 1", "Connection: keep-alive, Upgrade",
			"Sec-Fetch-Dest: empty", "Sec-Fetch-Mode: websocket", "Sec-Fetch-Site: same-origin", "Pragma: no-cache", "Cache-Control: no-cache",
			"Upgrade: websocket"), "localhost", "http://localhost", ""},
		{"Safari", request("GET /ws HTTP/1.1", "Host: localhost", "Origin: http://localhost", "Sec-WebSocket-Protocol: tidings.v1", "Pragma: no-cache",
			"Accept: */*", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", "Accept-Language: de-DE,de;q=0.9",
			"Sec-WebSocket-Extensions: permessage-deflate", "Cache-Control: no-cache", "Accept-Encoding: gzip, deflate",
			"User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
			"Connection: Upgrade", "Upgrade: websocket"), "localhost", "http://localhost", ""},
		{"nginx in front", request("GET /ws HTTP/1.1", "Upgrade: websocket", "Connection: upgrade", "Host: app.example.org", "X-Real-IP: 192.0.2.1",
			"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "Origin: https://app.example.org", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: tidings.v1"), "app.example.org", "https://app.example.org", ""},
	}
	for _, test := range tests {
		for _, way := range ways {
			t.Run(test.name+", "+way.name, func(t *testing.T) {
				t.Parallel()
				s := serve(t, nil)
				client := s.dial(t)
				data := test.request
				if way.glued {
					data += string(hello)
				}
				send(t, client, data, way.bytewise)
				conn := s.delivered(t)
				got := readAnswer(t, client)
				assert.Equal(t, http.StatusSwitchingProtocols, got.StatusCode)
				assert.Equal(t, http.Header{
					"Upgrade":                {"websocket"},
					"Connection":             {"Upgrade"},
					"Sec-Websocket-Accept":   {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
					"Sec-Websocket-Protocol": {"tidings.v1"},
				}, got.Header)

				local, ok := client.LocalAddr().(*net.TCPAddr)
				require.True(t, ok)
				assert.Equal(t, &upgrade.Request{
					Path: "/ws", Host: test.host, Origin: test.origin, Token: test.token,
					RemoteAddr: local.AddrPort().Addr(),
				}, conn.Request)
				assert.IsType(t, &net.TCPConn{}, conn.Conn)
				if !way.glued {
					assert.Nil(t, conn.Early)
					send(t, client, string(hello), way.bytewise)
				} else if !way.bytewise {
					assert.Equal(t, hello, conn.Early)
				}
				assertNext(t, hello, conn)

				_, err := conn.Write([]byte("\x81\x02hi"))
				require.NoError(t, err)
				frame := make([]byte, 4)
				_, err = got.rest.Read(frame)
				require.NoError(t, err)
				assert.Equal(t, "\x81\x02hi", string(frame))
			})
		}
	}
}

func TestAcceptor_RefusesBadHandshakes(t *testing.T) { bothWays(t, testRefusesBadHandshakes) }

func testRefusesBadHandshakes(t *testing.T) {
	t.Helper()
	t.Parallel()
	tests := []struct {
		name    string
		request string
		status  int
		reason  string
	}{
		// Found accepted by a plain gobwas upgrader.
		{"two Hosts", plus("Host: other.example.com"), 400, upgrade.ReasonHandshake},
		{"two equal Hosts", plus("host: server.example.com"), 400, upgrade.ReasonHandshake},
		{"two Keys", plus("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400, upgrade.ReasonHandshake},
		{"two Origins", plus("Origin: http://server.example.com"), 400, upgrade.ReasonHandshake},
		{"two Versions", plus("Sec-WebSocket-Version: 13"), 400, upgrade.ReasonHandshake},
		{"two Upgrades", plus("Upgrade: websocket"), 400, upgrade.ReasonHandshake},
		{"two Connections", plus("Connection: keep-alive"), 400, upgrade.ReasonHandshake},
		{"two Authorizations", plus("Authorization: Bearer a\r\nAuthorization: Bearer b"), 400, upgrade.ReasonHandshake},
		{"a space before the colon", with("Origin:", "Origin :"), 400, upgrade.ReasonMalformed},
		{"a tab before the colon", with("Host:", "Host\t:"), 400, upgrade.ReasonMalformed},
		{"Content-Length", plus("Content-Length: 11"), 400, upgrade.ReasonHandshake},
		{"Content-Length of 0", plus("Content-Length: 0"), 400, upgrade.ReasonHandshake},
		{"chunked", plus("Transfer-Encoding: chunked"), 400, upgrade.ReasonHandshake},
		{"bare LF after the request line", with("HTTP/1.1\r\n", "HTTP/1.1\n"), 400, upgrade.ReasonMalformed},
		{"bare LF after a header", with("websocket\r\n", "websocket\n"), 400, upgrade.ReasonMalformed},
		{"bare LF as the end", strings.TrimSuffix(handshake, "\r\n") + "\n", 400, upgrade.ReasonMalformed},
		{"only bare LF", strings.ReplaceAll(handshake, "\r\n", "\n"), 400, upgrade.ReasonMalformed},
		{"NUL in the target", with("/ws", "/ws?\x00"), 400, upgrade.ReasonMalformed},

		{"a bare CR in a value", plus("X: a\rb"), 400, upgrade.ReasonMalformed},
		{"two CR before LF", with("websocket\r\n", "websocket\r\r\n"), 400, upgrade.ReasonMalformed},
		{"NUL in a value", plus("X: a\x00b"), 400, upgrade.ReasonMalformed},
		{"DEL in a value", plus("X: a\x7fb"), 400, upgrade.ReasonMalformed},
		{"a folded line", plus("X: a\r\n b"), 400, upgrade.ReasonMalformed},
		{"a folded first line", with("Host:", " Host:"), 400, upgrade.ReasonMalformed},
		{"no colon", plus("X"), 400, upgrade.ReasonMalformed},
		{"no name", plus(": x"), 400, upgrade.ReasonMalformed},
		{"a name beyond ASCII", plus("Or\xc3\xafgin: x"), 400, upgrade.ReasonMalformed},
		{"a name with a bracket", plus("X[1]: x"), 400, upgrade.ReasonMalformed},

		{"an empty line first", "\r\n" + handshake, 400, upgrade.ReasonMalformed},
		{"a space first", " " + handshake, 400, upgrade.ReasonMalformed},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, upgrade.ReasonMalformed},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, upgrade.ReasonMalformed},
		{"HTTP/0.9", with(" HTTP/1.1", ""), 400, upgrade.ReasonMalformed},
		{"HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), 400, upgrade.ReasonHandshake},
		{"HTTP/1.2", with("HTTP/1.1", "HTTP/1.2"), 400, upgrade.ReasonMalformed},
		{"HTTP/01.1", with("HTTP/1.1", "HTTP/01.1"), 400, upgrade.ReasonMalformed},
		{"http/1.1", with("HTTP/1.1", "http/1.1"), 400, upgrade.ReasonMalformed},
		{"two spaces before the target", with("GET /ws", "GET  /ws"), 400, upgrade.ReasonMalformed},
		{"two spaces after the target", with("/ws HTTP", "/ws  HTTP"), 400, upgrade.ReasonMalformed},
		{"a tab in the request line", with("GET /ws", "GET\t/ws"), 400, upgrade.ReasonMalformed},
		{"a trailing space in the request line", with("HTTP/1.1\r\n", "HTTP/1.1 \r\n"), 400, upgrade.ReasonMalformed},
		{"a method that is no token", with("GET", "G{T"), 400, upgrade.ReasonMalformed},
		{"a fragment in the target", with("/ws ", "/ws?a#b "), 400, upgrade.ReasonHandshake},
		{"bytes beyond ASCII in the target", with("/ws ", "/ws?\xc3\xa9 "), 400, upgrade.ReasonHandshake},

		{"POST", with("GET", "POST"), 405, upgrade.ReasonMethod},
		{"get", with("GET", "get"), 405, upgrade.ReasonMethod},
		{"no Host", with("Host: server.example.com\r\n", ""), 400, upgrade.ReasonHandshake},
		{"empty Host", with("Host: server.example.com", "Host:"), 400, upgrade.ReasonHandshake},
		{"Host with a path", with("Host: server.example.com", "Host: server.example.com/"), 400, upgrade.ReasonHandshake},
		{"Host with a user", with("Host: server.example.com", "Host: a@server.example.com"), 400, upgrade.ReasonHandshake},
		{"Host with a space", with("Host: server.example.com", "Host: server example"), 400, upgrade.ReasonHandshake},
		{"Host with an empty port", with("Host: server.example.com", "Host: server.example.com:"), 400, upgrade.ReasonHandshake},
		{"Host with port 65536", with("Host: server.example.com", "Host: server.example.com:65536"), 400, upgrade.ReasonHandshake},
		{"Host with a broken IPv6 address", with("Host: server.example.com", "Host: [::1"), 400, upgrade.ReasonHandshake},
		{"no Upgrade", with("Upgrade: websocket\r\n", ""), 400, upgrade.ReasonHandshake},
		{"another Upgrade", with("Upgrade: websocket", "Upgrade: h2c"), 400, upgrade.ReasonHandshake},
		{"a list of Upgrades", with("Upgrade: websocket", "Upgrade: websocket, h2c"), 400, upgrade.ReasonHandshake},
		{"Upgrade with the Kelvin sign", with("Upgrade: websocket", "Upgrade: websoc\u212aet"), 400, upgrade.ReasonHandshake},
		{"no Connection", with("Connection: Upgrade\r\n", ""), 400, upgrade.ReasonHandshake},
		{"another Connection", with("Connection: Upgrade", "Connection: keep-alive"), 400, upgrade.ReasonHandshake},
		{"Connection that contains the word", with("Connection: Upgrade", "Connection: no-upgrade"), 400, upgrade.ReasonHandshake},
		{"Connection with an empty element", with("Connection: Upgrade", "Connection: Upgrade,"), 400, upgrade.ReasonHandshake},
		{"Connection with a tab inside", with("Connection: Upgrade", "Connection: keep-alive,\tUpgrade"), 400, upgrade.ReasonHandshake},
		{"no Version", with("\r\nSec-WebSocket-Version: 13", ""), 400, upgrade.ReasonHandshake},
		{"empty Version", with("Version: 13", "Version:"), 400, upgrade.ReasonHandshake},
		{"version 8", with("Version: 13", "Version: 8"), 426, upgrade.ReasonVersion},
		{"version 013", with("Version: 13", "Version: 013"), 426, upgrade.ReasonVersion},
		{"versions 13, 8", with("Version: 13", "Version: 13, 8"), 426, upgrade.ReasonVersion},
		{"no Key", with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), 400, upgrade.ReasonHandshake},
		{"empty Key", with("dGhlIHNhbXBsZSBub25jZQ==", ""), 400, upgrade.ReasonHandshake},
		{"Key of 15 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), 400, upgrade.ReasonHandshake},
		{"Key of 17 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWU="), 400, upgrade.ReasonHandshake},
		{"Key of 18 bytes", with("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWVl"), 400, upgrade.ReasonHandshake},
		{"Key that is no base64", with("dGhlIHNhbXBsZSBub25jZQ==", "!GhlIHNhbXBsZSBub25jZQ=="), 400, upgrade.ReasonHandshake},

		{"no subprotocol", with("Sec-WebSocket-Protocol: chat, tidings.v1\r\n", ""), 400, upgrade.ReasonSubprotocol},
		{"other subprotocols", with("chat, tidings.v1", "chat, tidings.v2"), 400, upgrade.ReasonSubprotocol},
		{"subprotocol in other case", with("tidings.v1", "Tidings.v1"), 400, upgrade.ReasonSubprotocol},
		{"an empty subprotocol", with("chat, tidings.v1", "chat,, tidings.v1"), 400, upgrade.ReasonHandshake},
		{"a malformed subprotocol", with("chat, tidings.v1", "ch at, tidings.v1"), 400, upgrade.ReasonHandshake},
		{"a malformed list after ours", with("chat, tidings.v1", "tidings.v1, @"), 400, upgrade.ReasonHandshake},

		{"another origin", with("Origin: http://server", "Origin: http://evil"), 403, upgrade.ReasonOrigin},
		{"another port", with("Origin: http://server.example.com", "Origin: http://server.example.com:8080"), 403, upgrade.ReasonOrigin},
		{"null origin", with("Origin: http://server.example.com", "Origin: null"), 403, upgrade.ReasonOrigin},
		{"empty origin", with("Origin: http://server.example.com", "Origin:"), 403, upgrade.ReasonOrigin},
		{"origin with a path", with("Origin: http://server.example.com", "Origin: http://server.example.com/"), 403, upgrade.ReasonOrigin},
		{"origin with a user", with("Origin: http://", "Origin: http://server.example.com@"), 403, upgrade.ReasonOrigin},
		{"two origins in one header", with("Origin: http://server.example.com", "Origin: http://server.example.com http://evil.example.com"), 403, upgrade.ReasonOrigin},

		{"Bearer without a token", plus("Authorization: Bearer"), 401, upgrade.ReasonToken},
		{"Bearer with two tokens", plus("Authorization: Bearer a b"), 401, upgrade.ReasonToken},
		{"Bearer with a quote", plus(`Authorization: Bearer "a"`), 401, upgrade.ReasonToken},
	}
	for _, test := range tests {
		for _, way := range ways {
			t.Run(test.name+", "+way.name, func(t *testing.T) {
				t.Parallel()
				s := serve(t, nil)
				client := s.dial(t)
				data := test.request
				if way.glued {
					data += string(hello)
				}
				send(t, client, data, way.bytewise)
				got := readAnswer(t, client)
				assert.Equal(t, test.status, got.StatusCode)
				assert.Equal(t, test.reason, s.refused(t))
				assert.True(t, got.Close, "Connection: close")
				assert.NotEmpty(t, strings.TrimSpace(got.body))
				switch got.StatusCode {
				case http.StatusUpgradeRequired:
					assert.Equal(t, "13", got.Header.Get("Sec-WebSocket-Version"))
				case http.StatusUnauthorized:
					assert.Equal(t, "Bearer", got.Header.Get("WWW-Authenticate"))
				case http.StatusMethodNotAllowed:
					assert.Equal(t, "GET", got.Header.Get("Allow"))
				}
				if test.reason == upgrade.ReasonSubprotocol {
					assert.Contains(t, got.body, "tidings.v1")
				}
				_, err := got.rest.ReadByte()
				require.Error(t, err, "closed")
				assert.Empty(t, s.conns)
			})
		}
	}
}

func TestAcceptor_LimitsTheHead(t *testing.T) { bothWays(t, testLimitsTheHead) }

func testLimitsTheHead(t *testing.T) {
	t.Helper()
	t.Parallel()
	for _, n := range []int{8191, 8192, 8193} {
		for _, way := range ways {
			t.Run(fmt.Sprintf("%d bytes", n)+", "+way.name, func(t *testing.T) {
				t.Parallel()
				padding := strings.Repeat("x", n-len(plus("X: ")))
				assertLimit(t, plus("X: "+padding), n <= 8192, upgrade.ReasonHeadTooLarge, way.bytewise, way.glued)
			})
		}
	}
	for _, n := range []int{63, 64, 65} {
		for _, way := range ways {
			t.Run(fmt.Sprintf("%d headers", n)+", "+way.name, func(t *testing.T) {
				t.Parallel()
				more := strings.Repeat("X: y\r\n", n-7)
				assertLimit(t, with("Version: 13\r\n", "Version: 13\r\n"+more), n <= 64, upgrade.ReasonTooManyHeaders, way.bytewise, way.glued)
			})
		}
	}
}

func assertLimit(t *testing.T, request string, admitted bool, reason string, bytewise, glued bool) {
	t.Helper()
	s := serve(t, nil)
	client := s.dial(t)
	if glued {
		request += string(hello)
	}
	send(t, client, request, bytewise)
	if admitted {
		conn := s.delivered(t)
		assert.Equal(t, http.StatusSwitchingProtocols, readAnswer(t, client).StatusCode)
		if glued {
			assertNext(t, hello, conn)
		}
		return
	}
	got := readAnswer(t, client)
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, got.StatusCode)
	assert.Equal(t, reason, s.refused(t))
}

func TestAcceptor_AnswersALargeHeadInsteadOfResetting(t *testing.T) {
	bothWays(t, testAnswersALargeHeadInsteadOfResetting)
}

func testAnswersALargeHeadInsteadOfResetting(t *testing.T) {
	t.Helper()
	t.Parallel()
	s := serve(t, nil)
	client := s.dial(t)
	send(t, client, plus("X: "+strings.Repeat("x", 200<<10)), false)
	answer, err := io.ReadAll(client)
	require.NoError(t, err)
	assert.Contains(t, string(answer), "HTTP/1.1 431 ")
	assert.Contains(t, string(answer), "8192 bytes", "it names the limit")
}
