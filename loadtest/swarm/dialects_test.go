//go:build linux

package swarm_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

// Real servers of the other dialects are in loadtest/peers; what they do rarely is played here.

// playMessages runs a server that speaks in messages. script is run for each connection; afterwards it stays until the client goes.
func playMessages(t *testing.T, script func(messages)) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		script(messages{t, conn})
		for err == nil {
			_, _, err = conn.Read(t.Context())
		}
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http", "ws", 1) + "/"
}

type messages struct {
	t    *testing.T
	conn *websocket.Conn
}

func (m messages) send(b []byte) {
	_ = m.conn.Write(m.t.Context(), websocket.MessageBinary, b) // the client may have gone
}

// until reads messages up to one that ends so, and returns it.
func (m messages) until(end string) string {
	for {
		_, b, err := m.conn.Read(m.t.Context())
		if err != nil {
			return ""
		}
		if strings.HasSuffix(string(b), end) {
			return string(b)
		}
	}
}

// joinOne starts a client in the only room, campaign:1.
func joinOne(t *testing.T, dialect, url, token string) *swarm.Swarm {
	t.Helper()
	s := start(t, swarm.Config{
		Dialect: dialect, URLs: []string{url}, Rooms: []string{theRoom}, Clients: []swarm.Client{{Token: token, Rooms: []int{0}}},
	})
	_, err := s.Mark()
	require.NoError(t, err)
	require.NoError(t, s.Connect(0))
	return s
}

// later is after every mark that a test has set.
func later() time.Time { return time.Now().Add(time.Minute) }

// NATS is a stream of bytes: wherever it is cut into messages, clients read the same.
func TestNATS_ReadsAStreamThatIsCutAnywhere(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	token := "a.b.c " + base64.RawURLEncoding.EncodeToString(private.Seed())
	const nonce = "a nonce of some length"
	for _, length := range []int{1, 2, 7, 64, 1000, 1 << 20} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			url := playMessages(t, func(m messages) {
				send := func(b []byte) {
					for part := range slices.Chunk(b, length) {
						m.send(part)
					}
				}
				send([]byte(`INFO {"nonce":"` + nonce + `"}` + "\r\n"))
				said := m.until("PING\r\n")
				var hello struct{ JWT, Sig string }
				first, rest, _ := strings.Cut(strings.TrimPrefix(said, "CONNECT "), "\r\n")
				assert.NoError(m.t, json.Unmarshal([]byte(first), &hello))
				assert.Equal(m.t, "a.b.c", hello.JWT)
				signature, err := base64.RawURLEncoding.DecodeString(hello.Sig)
				assert.NoError(m.t, err)
				assert.True(m.t, ed25519.Verify(public, []byte(nonce), signature))
				assert.Equal(m.t, "SUB room.campaign.1 1\r\nPING\r\n", rest)
				var b bytes.Buffer
				b.WriteString("PONG\r\nPING\r\n")
				for n := range uint64(50) {
					data := swarm.AppendData(nil, 0, n+1, later(), 200)
					if n%2 == 0 {
						_, _ = fmt.Fprintf(&b, "MSG room.campaign.1 1 %d\r\n%s\r\n", len(data), data)
					} else {
						const header = "NATS/1.0\r\na: b\r\n\r\n"
						_, _ = fmt.Fprintf(&b, "HMSG room.campaign.1 1 reply.to %d %d\r\n%s%s\r\n", len(header), len(header)+len(data), header, data)
					}
				}
				send(b.Bytes())
			})
			s := joinOne(t, "nats", url, token)
			await(t, s, func(stats swarm.Stats) bool { return stats.Received == 50 })
			stats := finish(t, s, quiet, 50)
			assert.Zero(t, stats.Missing+stats.Twice+stats.OutOfOrder)
			assert.Empty(t, stats.Failures)
		})
	}
}

func TestNATS_TokenWithoutASeedIsOfNoUse(t *testing.T) {
	url := playMessages(t, func(m messages) { m.send([]byte(`INFO {"nonce":"n"}` + "\r\n")) })
	s := joinOne(t, "nats", url, "a.b.c")
	stats := await(t, s, func(stats swarm.Stats) bool { return stats.Failed == 1 })
	assert.Contains(t, stats.Failures, "a token is not a JWT and a seed")
}

// publication is one as Centrifugo sends it.
func publication(n uint64) string {
	return fmt.Sprintf(`{"push":{"channel":"%s","pub":{"data":%s,"offset":%d}}}`, theRoom, swarm.AppendData(nil, 0, n, later(), 100), 10*n)
}

// A server that cannot vouch for what it sent unsubscribes its client, which comes back from its offset.
func TestCentrifuge_SubscribesAgainFromItsOffset(t *testing.T) {
	for name, recovered := range map[string]bool{"recovered": true, "not recovered": false} {
		t.Run(name, func(t *testing.T) {
			url := playMessages(t, func(m messages) {
				lines := strings.Split(m.until(`}`), "\n")
				assert.Equal(m.t, []string{
					`{"id":1,"connect":{"token":"t","name":"js"}}`, `{"id":2,"subscribe":{"channel":"campaign:1"}}`,
				}, lines)
				m.send([]byte(`{"id":1,"connect":{"client":"c","ping":25}}` + "\n" + `{"id":2,"subscribe":{"recoverable":true,"epoch":"e","offset":5}}`))
				m.send([]byte(publication(1) + "\n" + publication(2) + "\n{}"))
				assert.Equal(m.t, "{}", m.until("{}"), "a ping is answered")
				m.send([]byte(`{"push":{"channel":"campaign:1","unsubscribe":{"code":2500,"reason":"insufficient state"}}}`))
				assert.JSONEq(m.t, `{"id":2,"subscribe":{"channel":"campaign:1","recover":true,"epoch":"e","offset":20}}`, m.until("}"))
				missed := fmt.Sprintf(`"publications":[{"data":%s,"offset":30}],`, swarm.AppendData(nil, 0, 3, later(), 100))
				if !recovered {
					missed = ""
				}
				m.send(fmt.Appendf(nil, `{"id":2,"subscribe":{%s"epoch":"e","offset":30,"was_recovering":true,"recovered":%t}}`, missed, recovered))
				m.send([]byte(publication(4)))
			})
			s := joinOne(t, "centrifuge", url, "t")
			want := uint64(3)
			if recovered {
				want = 4
			}
			await(t, s, func(stats swarm.Stats) bool { return stats.Received == want })
			stats := finish(t, s, quiet, 4)
			assert.Zero(t, stats.Missing, "who is told misses nothing")
			assert.Equal(t, !recovered, stats.NotRecovered == 1)
		})
	}
}

// Codes from 3500 and from 4500 on are for good, others are not (centrifugal.dev, client protocol).
func TestCentrifuge_ComesBackUnlessToldNotTo(t *testing.T) {
	for code, again := range map[websocket.StatusCode]bool{1011: true, 3001: true, 3500: false, 4001: true, 4501: false} {
		t.Run(code.String(), func(t *testing.T) {
			url := playMessages(t, func(m messages) {
				m.until("}")
				_ = m.conn.Close(code, "why") // the client may have gone
			})
			s := start(t, swarm.Config{
				Dialect: "centrifuge", URLs: []string{url}, Rooms: []string{theRoom}, Clients: crowd(1, 0), Reconnect: true, Haste: time.Millisecond,
			})
			require.NoError(t, s.Connect(0))
			reason := fmt.Sprintf("close %d why", code)
			stats := await(t, s, func(stats swarm.Stats) bool {
				return again && stats.Failures[reason] > 2 || !again && stats.Failed == 1 && stats.Failures[reason] > 0
			})
			if !again {
				assert.Equal(t, 1, stats.Failures[reason])
			}
		})
	}
}

func TestSocketIO_SaysWhyItWasLetGo(t *testing.T) {
	tests := map[string]struct{ then, reason string }{
		"disconnected": {"41", "disconnected by the server"},
		"closed":       {"1", "closed by Engine.IO"},
		"refused":      {`44{"message":"unauthorized"}`, "refused unauthorized"},
		"no handshake": {"0broken", "bad frame: invalid character 'b' looking for beginning of value"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url := playMessages(t, func(m messages) {
				m.send([]byte(`0{"sid":"s","pingInterval":25000,"pingTimeout":20000}`))
				assert.Equal(m.t, `40{"token":"t"}`, m.until("}"))
				m.send([]byte("2"))
				assert.Equal(m.t, "3", m.until("3"), "a ping is answered")
				m.send([]byte(tt.then))
			})
			s := joinOne(t, "socketio", url, "t")
			stats := await(t, s, func(stats swarm.Stats) bool { return stats.Failed == 1 })
			assert.Contains(t, stats.Failures, tt.reason)
		})
	}
}
