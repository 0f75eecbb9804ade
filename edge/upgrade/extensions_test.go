package upgrade_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tidingsmesh/tidings/edge/upgrade"
)

func TestAcceptor_NegotiatesDeflateWithoutContextTakeoverOnly(t *testing.T) {
	t.Parallel()
	const (
		offer    = "permessage-deflate"
		accepted = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	)
	tests := []struct{ name, offer, answer string }{
		{"Firefox, Safari", offer, accepted},
		{"Chrome", offer + "; client_max_window_bits", accepted},
		{"no takeover of the server's", offer + "; server_no_context_takeover", accepted},
		{"no takeover of the client's", offer + ";client_no_context_takeover", accepted},
		{"all that can be met", offer + " ; client_max_window_bits=8; server_no_context_takeover; client_no_context_takeover", accepted},
		{"a quoted value", offer + `; client_max_window_bits = "15"`, accepted},
		{"an extension nobody knows", "x-compress; level=9, " + offer, accepted},
		{"the second choice", offer + "; server_max_window_bits=10, " + offer, accepted},
		{"the first of two", offer + "," + offer + "; server_no_context_takeover", accepted},

		{"no extension that is known", "x-compress; level=9", ""},
		{"another case", "Permessage-Deflate", ""},
		{"a longer name", offer + "2", ""},
		{"a smaller window of the server's", offer + "; server_max_window_bits=10", ""},
		{"a window of the server's", offer + "; server_max_window_bits=15", ""},
		{"a window of the server's without a size", offer + "; server_max_window_bits", ""},
		{"a parameter nobody knows", offer + "; level=9", ""},
		{"a parameter twice", offer + "; server_no_context_takeover; server_no_context_takeover", ""},
		{"a parameter twice, without and with a value", offer + "; client_max_window_bits; client_max_window_bits=9", ""},
		{"a value where none belongs", offer + "; server_no_context_takeover=1", ""},
		{"the same of the client's", offer + "; client_no_context_takeover=true", ""},
		{"a window too small", offer + "; client_max_window_bits=7", ""},
		{"a window too large", offer + "; client_max_window_bits=16", ""},
		{"a window with a leading zero", offer + "; client_max_window_bits=08", ""},
		{"a window that is no number", offer + "; client_max_window_bits=x", ""},
		{"spread over two headers", offer + "\r\nSec-WebSocket-Extensions: x", ""},

		{"nothing", "", "400"},
		{"an empty element", offer + ",", "400"},
		{"an empty element before it", "," + offer, "400"},
		{"an empty parameter", offer + ";", "400"},
		{"a parameter without a name", offer + "; =1", "400"},
		{"an equals sign without a value", offer + "; client_max_window_bits=", "400"},
		{"an empty string", offer + `; client_max_window_bits=""`, "400"},
		{"an open string", offer + `; client_max_window_bits="8`, "400"},
		{"a string that is no token", offer + `; a="b c"`, "400"},
		{"an escape", offer + `; client_max_window_bits="\8"`, "400"},
		{"two words", offer + " x", "400"},
		{"a quoted name", `"permessage-deflate"`, "400"},
		{"a malformed element after it", offer + ", @", "400"},
		{"a malformed one before it", "a;b c, " + offer, "400"},
	}
	for _, test := range tests {
		head := plus("Sec-WebSocket-Extensions: " + test.offer)
		for way, data := range map[string]string{
			"first request": head,
			"later request": request("GET /echo HTTP/1.1", "Host: a") + head,
		} {
			t.Run(test.name+", "+way, func(t *testing.T) {
				t.Parallel()
				s := serve(t, func(cfg *upgrade.Config) { cfg.Deflate = true })
				client := s.dial(t)
				send(t, client, data, false)
				got := readAnswer(t, client)
				if way == "later request" {
					got = readAnswer(t, got.rest)
				}
				if test.answer == "400" {
					assert.Equal(t, http.StatusBadRequest, got.StatusCode)
					assert.Contains(t, got.body, "Sec-WebSocket-Extensions")
					assert.Equal(t, upgrade.ReasonHandshake, s.refused(t))
					return
				}
				assert.Equal(t, http.StatusSwitchingProtocols, got.StatusCode)
				assert.Equal(t, test.answer, got.Header.Get("Sec-WebSocket-Extensions"))
				assert.Equal(t, test.answer != "", s.delivered(t).Request.Deflate)
			})
		}
		t.Run(test.name+", off", func(t *testing.T) {
			t.Parallel()
			s := serve(t, nil)
			client := s.dial(t)
			send(t, client, head, false)
			got := readAnswer(t, client)
			assert.Equal(t, http.StatusSwitchingProtocols, got.StatusCode)
			assert.NotContains(t, got.Header, "Sec-Websocket-Extensions")
			assert.False(t, s.delivered(t).Request.Deflate)
		})
	}
}
