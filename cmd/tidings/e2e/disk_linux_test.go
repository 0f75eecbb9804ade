package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestServe_AFullDiskIsTold lets no file of the server grow any more, which is to it what a full disk is: events are not
// acknowledged and the readiness says why; clients stay and get what was acknowledged.
func TestServe_AFullDiskIsTold(t *testing.T) {
	s := serve(t)
	c := s.dial(t, t.Context(), "campaign:42")
	c.next(t, t.Context(), "joined")
	worker, err := nats.Connect(s.natsURL())
	require.NoError(t, err)
	defer worker.Close()
	limit := unix.Rlimit{Cur: 1 << 20, Max: unix.RLIM_INFINITY}
	require.NoError(t, unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil))

	pad := strings.Repeat("x", 60<<10)
	var stored []string
	var body string
	for n, status := 0, http.StatusOK; status == http.StatusOK; n++ {
		require.Less(t, n, 100, "the disk is full")
		id := fmt.Sprintf(`"id":"e-%d"`, n)
		m, err := worker.Request("room.campaign.42", fmt.Appendf(nil, `{%s,"type":"big","data":%q}`, id, pad), time.Second)
		if err == nil && strings.Contains(string(m.Data), `"seq":`) {
			stored = append(stored, id)
			continue
		}
		status, body = s.get(t, "/readyz") // or the answer is only late
	}
	assert.Contains(t, body, "embedded NATS")
	t.Log(strings.Join(strings.Fields(body), " "))
	for _, id := range stored {
		for !strings.Contains(string(c.next(t, t.Context(), "event").Event), id) {
			continue // one whose answer was late
		}
	}
}
