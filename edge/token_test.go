package edge_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/wire"
)

// badTokens are tokens that must never be accepted.
func badTokens(t testing.TB) map[string]string {
	t.Helper()
	sign := func(method jwt.SigningMethod, key any, header, claims map[string]any) string {
		token := jwt.NewWithClaims(method, jwt.MapClaims(claims))
		maps.Copy(token.Header, header)
		s, err := token.SignedString(key)
		require.NoError(t, err)
		return s
	}
	good := func() map[string]any {
		return map[string]any{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix(), "rooms": []string{"k:*"}}
	}
	with := func(name string, value any) map[string]any {
		claims := good()
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
		return claims
	}
	hs := func(claims map[string]any) string { return sign(jwt.SigningMethodHS256, testSecret, nil, claims) }
	valid := hs(good())
	return map[string]string{
		"nonsense":         "nonsense",
		"three dots":       "a.b.c",
		"of another key":   sign(jwt.SigningMethodHS256, []byte("another secret, which is as long as ours"), nil, good()),
		"none":             sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, good()),
		"with crit":        sign(jwt.SigningMethodHS256, testSecret, map[string]any{"crit": []string{"exp"}}, good()),
		"expired":          hs(with("exp", time.Now().Add(-2*time.Hour).Unix())),
		"without expiry":   hs(with("exp", nil)),
		"expiry 0":         hs(with("exp", 0)),
		"not yet valid":    hs(with("nbf", time.Now().Add(time.Hour).Unix())),
		"without sub":      hs(with("sub", nil)),
		"rooms a string":   hs(with("rooms", "k:*")),
		"reserved room":    hs(with("rooms", []string{"_fence:*"})),
		"trailing newline": valid + "\n",
		"in quotes":        `"` + valid + `"`,
		"cut":              valid[:len(valid)-5],
		"too long":         valid + strings.Repeat("A", 9000),
	}
}

func TestToken_BadOnesAreRefusedWithoutATrace(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		for name, bad := range badTokens(t) {
			c := n.dial(t, nil)
			c.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: bad, Rooms: []wire.RoomRef{{Room: "k:1"}}})
			reason := c.closed(t, 4401)
			assert.Contains(t, reason, "token", name)

			// The same in the handshake is refused before the upgrade.
			if !strings.ContainsAny(bad, "\n") && len(bad) < 7000 {
				status, body, header := n.refused(t, http.Header{"Authorization": {"Bearer " + bad}})
				assert.Equal(t, http.StatusUnauthorized, status, name)
				assert.Equal(t, "Bearer", header.Get("WWW-Authenticate"), name)
				assert.NotEmpty(t, strings.TrimSpace(body), name)
				assert.NotContains(t, body, bad, name)
			}
			for part := range strings.SplitSeq(strings.TrimSpace(bad), ".") {
				if len(part) > 8 {
					assert.NotContains(t, n.log.String(), part, name)
				}
			}
		}
		c := n.dial(t, nil)
		c.send(t, `{"op":"hello"}`)
		assert.Contains(t, c.closed(t, 4401), "no token")
		assert.NotContains(t, n.log.String(), token(t)[:36], "not even the first part of any token")
		n.await(t, 0, "tidings_edge_connections")
	})
}

func TestToken_InTheHandshakeServesForHello(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		bearer := http.Header{"Authorization": {"Bearer " + token(t, "k:*")}}
		c := n.dial(t, bearer)
		c.hello(t, "", wire.RoomRef{Room: "k:1"})
		c.want(t, wire.OpJoined)
		c.send(t, `{"op":"hello"}`)
		c.closed(t, 4400)

		// It is good for one hello, and one in hello counts instead of it.
		c = n.dial(t, bearer)
		c.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: "nonsense"})
		c.closed(t, 4401)
		c = n.dial(t, bearer)
		c.hello(t, token(t, "other:*"))
		c.denied(t, "k:1", wire.DeniedForbidden)
	})
}

func TestToken_LengthLimit(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		good := token(t, "k:*")
		for more, accepted := range map[int]bool{1: true, 0: true, -1: false} {
			n := w.start(t, func(s *settings) { s.edge.Limits.Token = len(good) + more })
			c := n.dial(t, nil)
			c.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: good})
			if accepted {
				c.want(t, wire.OpWelcome)
				c = n.dial(t, http.Header{"Authorization": {"Bearer " + good}})
				c.hello(t, "")
			} else {
				assert.Contains(t, c.closed(t, 4401), "limit")
				status, body, _ := n.refused(t, http.Header{"Authorization": {"Bearer " + good}})
				assert.Equal(t, http.StatusUnauthorized, status)
				assert.Contains(t, body, "limit")
			}
		}
	})
}

func TestToken_HelloTimeout(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		const limit = 400 * time.Millisecond
		n := w.start(t, func(s *settings) { s.edge.Limits.HelloTimeout = limit })
		begin := time.Now()
		c := n.dial(t, nil)
		assert.Contains(t, c.closed(t, 4408), "400ms")
		assert.GreaterOrEqual(t, time.Since(begin), limit)

		c = n.dial(t, nil)
		c.send(t, `{"op":"pong"}`) // does not help
		c.closed(t, 4408)
		n.await(t, 0, "tidings_edge_connections")
	})
}

func TestToken_RefreshEvaluatesRightsAgain(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		keep, lose := room(t), room(t)
		c := n.join(t, keep, lose)
		c.frame(t, wire.ClientFrame{Op: wire.OpToken, Token: tokenOf(t, "alice", time.Now().Add(2*time.Hour), keep.String())})
		f := c.want(t, wire.OpTokenOK)
		assert.Equal(t, []string{lose.String()}, f.Dropped)
		assert.InDelta(t, 7200, f.TTL, 60)

		w.publish(t, lose, 1, 10)
		kept := w.publish(t, keep, 1, 10)
		assert.Equal(t, kept[0], c.want(t, wire.OpEvent).Seq, "an event of a room that was lost")
		c.denied(t, lose.String(), wire.DeniedForbidden)

		c.frame(t, wire.ClientFrame{Op: wire.OpToken, Token: token(t, keep.String(), lose.String())})
		assert.Empty(t, c.want(t, wire.OpTokenOK).Dropped)
		c.frame(t, wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: lose.String()}}})
		c.want(t, wire.OpJoined)

		c.frame(t, wire.ClientFrame{Op: wire.OpToken, Token: tokenOf(t, "mallory", time.Now().Add(time.Hour), keep.String())})
		assert.Contains(t, c.closed(t, 4401), "another subject")
		c = n.join(t, keep)
		c.frame(t, wire.ClientFrame{Op: wire.OpToken, Token: "nonsense"})
		c.closed(t, 4401)
		c = n.join(t, keep)
		c.send(t, `{"op":"token"}`)
		c.closed(t, 4400)
	})
}

func TestToken_ExpiryEndsTheConnection(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		const leeway = 2 * time.Second
		n := w.start(t, func(s *settings) { s.auth.Leeway = leeway })
		r := room(t)
		deaf, renewed, c := n.dial(t, nil), n.dial(t, nil), n.dial(t, nil)
		// From here on until they are in, all are in a hurry.
		expires := time.Now().Add(time.Second).Truncate(time.Second)
		deaf.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: tokenOf(t, "deaf", expires, r.String()), Rooms: []wire.RoomRef{{Room: r.String()}}})
		c.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: tokenOf(t, "alice", expires, r.String()), Rooms: []wire.RoomRef{{Room: r.String()}}})
		renewed.hello(t, tokenOf(t, "alice", expires, r.String()))
		renewed.frame(t, wire.ClientFrame{Op: wire.OpToken, Token: token(t, r.String())})
		renewed.want(t, wire.OpTokenOK)
		n.await(t, 2, "tidings_edge_joins_total")
		w.publish(t, r, 20, 16<<10) // more than the deaf one's socket takes at once

		assert.Contains(t, c.closed(t, 4401), "expired")
		assert.False(t, time.Now().Before(expires.Add(leeway)), "not before its time")
		n.await(t, 2, "tidings_edge_connections_closed_total", "4401")
		n.await(t, 1, "tidings_edge_connections") // the deaf one was cut off
		t.Logf("both were gone %s after the end of the token and the leeway", time.Since(expires.Add(leeway)).Round(time.Millisecond))
		renewed.quiet(t)
	})
}

// A verifier that may have to fetch keys checks in the background: what comes meanwhile waits its turn.
func TestToken_FramesWaitForABackgroundCheck(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		public, private, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		release := make(chan struct{})
		keys := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
				return
			}
			_, _ = fmt.Fprintf(rw, `{"keys":[{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"k","x":%q}]}`,
				base64.RawURLEncoding.EncodeToString(public))
		}))
		t.Cleanup(keys.Close)
		n := w.launch(t, func(s *settings) {
			s.auth.Secret = nil
			s.auth.JWKSURL = keys.URL
			s.auth.JWKSTimeout = patience
			s.edge.Limits.HelloTimeout = 2 * time.Second
		})
		sign := func() string {
			token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix(), "rooms": []string{"k:*"}})
			token.Header["kid"] = "k"
			s, err := token.SignedString(private)
			require.NoError(t, err)
			return s
		}
		status, body := n.get("/readyz")
		assert.Equal(t, http.StatusServiceUnavailable, status)
		assert.Contains(t, body, authz.ErrKeysUnavailable.Error())

		c := n.dial(t, nil)
		c.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: sign(), Rooms: []wire.RoomRef{{Room: "k:1"}}})
		c.frame(t, wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: "k:1"}}})
		c.frame(t, wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: "k:2"}}})
		gone := n.dial(t, nil)
		gone.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: sign()})
		require.NoError(t, gone.conn.CloseNow())
		twice := n.dial(t, nil)
		twice.frame(t, wire.ClientFrame{Op: wire.OpHello, Token: sign()})
		twice.frame(t, wire.ClientFrame{Op: wire.OpToken, Token: sign()})
		assert.Contains(t, twice.closed(t, 4400), "still being checked")
		n.dial(t, nil).closed(t, websocket.StatusCode(wire.CodeHelloTimeout)) // so long has it taken by now

		close(release)
		c.want(t, wire.OpWelcome)
		assert.Equal(t, "k:2", c.want(t, wire.OpJoined).Room)
		c.frame(t, wire.ClientFrame{Op: wire.OpToken, Token: sign()})
		c.want(t, wire.OpTokenOK)
		c.frame(t, wire.ClientFrame{Op: wire.OpToken, Token: sign()})
		c.want(t, wire.OpTokenOK)
		c.frame(t, wire.ClientFrame{Op: wire.OpToken, Token: "x.y.z"})
		c.closed(t, websocket.StatusCode(wire.CodeUnauthorized))
		n.await(t, 0, "tidings_edge_connections")
	})
}
