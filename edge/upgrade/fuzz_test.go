package upgrade

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzHandshake holds that every head this package takes is the same request
// for net/http, and that every handshake it admits is one for gobwas's upgrader
// and for itself when net/http hands it over.
func FuzzHandshake(f *testing.F) {
	for _, line := range []string{
		"", "Host: other.example.org\r\n", "Origin : https://a\r\n", "Content-Length: 3\r\n",
		"Transfer-Encoding: chunked\r\n", "X: a\n", "X: a\x00\r\n", "X: a\r\n b\r\n", "X:\r\n", ": a\r\n",
		"Authorization: Bearer a.b.c\r\n", "Sec-WebSocket-Protocol: a, tidings.v1, b\r\n",
		"Sec-WebSocket-Protocol: a,,b\r\n", "X: \xc3\xa9\xff\r\n", "Pragma: no-cache\r\n", "Trailer: a b\r\n",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=\"8\"\r\n", "Connection: close\r\n",
		"Sec-WebSocket-Extensions: a; b = \"c\",permessage-deflate;server_no_context_takeover\r\n", "Sec-WebSocket-Extensions: permessage-deflate;\r\n",
		"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
	} {
		f.Add([]byte(strings.Replace(browserHead, "\r\n", "\r\n"+line, 1)), uint64(len(line)))
	}
	for _, first := range []string{
		"GET /ws?a=b&c=%zz HTTP/1.1", "GET /ws#a HTTP/1.1", "GET /%77s HTTP/1.1", "GET //ws HTTP/1.1", "GET  /ws HTTP/1.1",
		"POST /ws HTTP/1.1", "GET /ws HTTP/1.0", "GET /ws HTTP/2.0", "GET http://a/ws HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT a:80 HTTP/1.1", "GET",
	} {
		f.Add([]byte(strings.Replace(browserHead, "GET /ws HTTP/1.1", first, 1)+"\x81\x80abcd"), uint64(len(first)))
	}
	cfg := DefaultConfig()
	cfg.Origins = []string{"*"}
	cfg.Deflate = true
	cfg.Deliver = func(Conn) {}
	a, err := New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(f, err)
	remote := netip.MustParseAddr("192.0.2.1")

	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		size, refusal := scanAll(a, b)
		for _, pieces := range []func(int) int{
			func(int) int { return 1 },
			func(left int) int { return 1 + rand.New(rand.NewPCG(seed, uint64(left))).IntN(left) },
		} {
			n, r := scanPieces(a, b, pieces)
			require.Equal(t, size, n, "the end depends on how the bytes come")
			require.Same(t, refusal, r)
		}
		if size == 0 {
			return
		}
		raw := b[:size]
		h, refusal := parseHead(raw, cfg.Subprotocol)
		if refusal != nil {
			return
		}
		request, refusal := a.examine(&h, remote)
		admitted := refusal == nil && a.isUpgrade(&h)

		buffered := bufio.NewReaderSize(bytes.NewReader(b), max(16, len(b)))
		theirs, err := http.ReadRequest(buffered)
		if err != nil {
			require.False(t, admitted, "net/http refuses it: %v", err)
			return
		}
		requireSame(t, &h, theirs)
		require.Equal(t, len(b)-size, buffered.Buffered(), "another end of the head")
		if !admitted {
			return
		}
		require.Equal(t, cfg.Path, theirs.URL.Path)
		require.Equal(t, request.Host, theirs.Host)
		require.Equal(t, http.NoBody, theirs.Body)
		require.False(t, theirs.Close && !theirs.ProtoAtLeast(1, 1))

		var answer bytes.Buffer
		require.NoError(t, a.switchProtocols(&answer, raw, request.Deflate))
		got, err := http.ReadResponse(bufio.NewReader(&answer), nil)
		require.NoError(t, err)
		require.NoError(t, got.Body.Close())
		require.Equal(t, http.StatusSwitchingProtocols, got.StatusCode)
		require.Equal(t, cfg.Subprotocol, got.Header.Get("Sec-WebSocket-Protocol"))
		require.Equal(t, request.Deflate, got.Header.Get("Sec-WebSocket-Extensions") != "")
		sum := sha1.Sum([]byte(theirs.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		require.Equal(t, base64.StdEncoding.EncodeToString(sum[:]), got.Header.Get("Sec-WebSocket-Accept"))
		_, err = answer.ReadByte()
		require.ErrorIs(t, err, io.EOF)

		again, refusal := a.reparse(renderHead(theirs))
		if refusal == a.refuseHeadTooLarge {
			return // a space more after each colon
		}
		require.Nil(t, refusal)
		same, refusal := a.examine(&again, remote)
		require.Nil(t, refusal)
		require.Equal(t, request, same)
	})
}

func scanAll(a *Acceptor, b []byte) (int, *Refusal) {
	var scanner headScanner
	return scanner.scan(b, a)
}

func scanPieces(a *Acceptor, b []byte, size func(left int) int) (int, *Refusal) {
	var scanner headScanner
	for n := 0; n < len(b); {
		n += size(len(b) - n)
		if end, refusal := scanner.scan(b[:n], a); end > 0 || refusal != nil {
			return end, refusal
		}
	}
	return 0, nil
}

// requireSame compares what both parsers understood.
func requireSame(t *testing.T, h *head, r *http.Request) {
	t.Helper()
	require.Equal(t, string(h.method), r.Method)
	require.Equal(t, string(h.target), r.RequestURI)
	require.Equal(t, !h.http10, r.ProtoAtLeast(1, 1))
	if r.URL.Host == "" {
		require.Equal(t, string(h.values[fieldHost]), r.Host)
	}
	for f, name := range map[field]string{
		fieldUpgrade: "Upgrade", fieldConnection: "Connection", fieldKey: "Sec-WebSocket-Key",
		fieldVersion: "Sec-WebSocket-Version", fieldOrigin: "Origin", fieldAuthorization: "Authorization",
		fieldExtensions: "Sec-WebSocket-Extensions",
	} {
		values := r.Header.Values(name)
		require.Equal(t, h.has(f), len(values) > 0, name)
		require.Equal(t, h.twice&(1<<f) != 0, len(values) > 1, name)
		require.Equal(t, string(h.values[f]), r.Header.Get(name), name)
	}
	require.Equal(t, h.has(fieldProtocol), len(r.Header.Values("Sec-WebSocket-Protocol")) > 0)
	require.False(t, !h.has(fieldContentLength) && !h.has(fieldTransferEncoding) && r.ContentLength != 0)
}
