package upgrade

import (
	"io"
	"log/slog"
	"net/netip"
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
		size, _ := scanner.scan(raw, a)
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
		if err := a.switchProtocols(io.Discard, raw, false); err != nil {
			b.Fatal(err)
		}
	}
}

func newForBenchmark(b *testing.B, deliver func(Conn)) *Acceptor {
	b.Helper()
	cfg := DefaultConfig()
	cfg.Deliver = deliver
	a, err := New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	return a
}
