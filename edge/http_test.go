package edge_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

const plainRequest = "GET /nothing HTTP/1.1\r\nHost: edge.test\r\n\r\n"

// status sends a plain request on a connection and returns the status of the answer, which is read to its end.
func (c *wireConn) status(t testing.TB) int {
	t.Helper()
	c.put(t, plainRequest)
	response, err := http.ReadResponse(c.in, nil)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func TestHTTP_ARequestThatDoesNotEndIsGivenUp(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		// The answer, too, has to be out within another one of these.
		n := w.start(t, func(s *settings) { s.edge.Limits.SlowTimeout = time.Second })
		c := n.connect(t)
		c.put(t, "POST /nothing HTTP/1.1\r\nHost: edge.test\r\nContent-Length: 1000\r\n\r\nabc")
		answer, err := io.ReadAll(c.in) // until the server has closed
		require.NoError(t, err)
		assert.Contains(t, string(answer), "404 Not Found")
	})
}

func TestHTTP_AClientThatDoesNotReadItsAnswerIsGivenUp(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		failed := make(chan error, 1)
		n := w.start(t, func(s *settings) {
			s.edge.Limits.SlowTimeout = 200 * time.Millisecond
			s.edge.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for {
					if _, err := io.WriteString(w, strings.Repeat("x", 1<<20)); err != nil {
						failed <- err
						return
					}
				}
			})
		})
		n.connect(t).put(t, plainRequest)
		select {
		case err := <-failed:
			assert.ErrorContains(t, err, "timeout")
		case <-time.After(patience):
			require.Fail(t, "the answer still waits for its reader")
		}
	})
}

func TestHTTP_ConnectionsCountForTheirAddress(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t, func(s *settings) { s.edge.Limits.PerAddress = 2 })
		one, two := n.connect(t), n.connect(t)
		assert.Equal(t, http.StatusNotFound, one.status(t))
		assert.Equal(t, http.StatusNotFound, two.status(t))

		three := n.connect(t)
		three.put(t, plainRequest)
		answer, err := io.ReadAll(three.in)
		require.NoError(t, err, "the connection ends with the answer")
		assert.Contains(t, string(answer), "429 Too Many Requests")
		assert.Contains(t, string(answer), "Retry-After: 30")
		assert.Contains(t, string(answer), "connections per address is 2")
		status, _, _ := n.refused(t, nil)
		assert.Equal(t, http.StatusTooManyRequests, status, "nor is there a place for a WebSocket")

		require.NoError(t, one.Close())
		require.NoError(t, two.Close())
		meshtest.Eventually(t, func() bool { return n.connect(t).status(t) == http.StatusNotFound }, "places are free again")
	})
}
