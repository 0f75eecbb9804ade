package edge_test

import (
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAdmin_ProfilesDoNotTellTheCommandLine(t *testing.T) {
	eachTransport(t, func(t *testing.T, w *world) {
		n := w.start(t)
		status, body := n.get("/debug/pprof/goroutine?debug=1")
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, body, "goroutine profile")
		for _, path := range []string{"/debug/pprof/cmdline", "/debug/pprof/", "/metrics", "/readyz", "/healthz"} {
			_, body := n.get(path)
			assert.NotContains(t, body, os.Args[0], path)
		}
	})
}
