package authz_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
)

// inProcess hands a request to the handler without a socket, so that synctest can see who waits.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

func startInProcess(t *testing.T, i *issuer) *authz.Verifier {
	t.Helper()
	cfg := authz.DefaultConfig()
	cfg.JWKSURL = "https://issuer.example/jwks.json"
	cfg.HTTPClient = &http.Client{Transport: inProcess{i}}
	v := newVerifier(t, cfg)
	run(t, v)
	synctest.Wait()
	return v
}

func TestJWKS_RefreshesOnScheduleAndRetriesSooner(t *testing.T) {
	ed := jwk(t, "a", edKey().Public())
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{}
		i.publish(ed)
		v := startInProcess(t, i)
		require.NoError(t, v.Ready())
		require.Equal(t, int64(1), i.requests.Load())

		elapse(10*time.Minute - 1)
		assert.Equal(t, int64(1), i.requests.Load(), "not before the interval")
		i.body(http.StatusInternalServerError, "")
		elapse(time.Minute + 1)
		require.GreaterOrEqual(t, i.requests.Load(), int64(2), "at most a tenth later")
		failures := i.requests.Load() - 1
		elapse(15 * time.Second)
		assert.Equal(t, failures+2, i.requests.Load(), "a failure is retried after the least interval")
		accepted(t, v, edToken("a"))

		i.publish(ed)
		elapse(15 * time.Second) // the retry succeeded somewhere in this time
		recovered := i.requests.Load()
		elapse(10*time.Minute - 15*time.Second - 1)
		assert.Equal(t, recovered, i.requests.Load(), "back on schedule")
	})
}

func TestJWKS_AllWhoWaitShareOneRequest(t *testing.T) {
	ed, other := jwk(t, "a", edKey().Public()), jwk(t, "b", otherEd().Public())
	tokens := map[bool]string{true: otherEdToken("b"), false: edToken("nobody")}
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{}
		i.publish(ed)
		v := startInProcess(t, i)

		release := make(chan struct{})
		i.serve(func(w http.ResponseWriter, _ *http.Request) {
			<-release
			_, _ = fmt.Fprintf(w, `{"keys":[%s,%s]}`, ed, other)
		})
		elapse(15 * time.Second)
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				_, err := v.Verify(context.Background(), tokens[n%2 == 0], now)
				assert.Equal(t, n%2 == 0, err == nil)
			})
		}
		synctest.Wait() // all of them wait
		assert.Equal(t, int64(2), i.requests.Load())
		accepted(t, v, edToken("a")) // a known key waits for nobody
		close(release)
		wg.Wait()
		assert.Equal(t, int64(2), i.requests.Load())

		denied(t, v, tokens[false], authz.RuleUnknownKey)
		elapse(15*time.Second - 1)
		assert.True(t, denied(t, v, tokens[false], authz.RuleUnknownKey).Retryable)
		assert.Equal(t, int64(2), i.requests.Load(), "not due yet")
		elapse(1)
		assert.False(t, denied(t, v, tokens[false], authz.RuleUnknownKey).Retryable)
		assert.Equal(t, int64(3), i.requests.Load(), "due again")
	})
}

func TestJWKS_FirstTokenWaitsForTheFirstFetch(t *testing.T) {
	ed := jwk(t, "a", edKey().Public())
	token := edToken("a")
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{}
		release := make(chan struct{})
		i.serve(func(w http.ResponseWriter, _ *http.Request) {
			<-release
			_, _ = fmt.Fprintf(w, `{"keys":[%s]}`, ed)
		})
		v := startInProcess(t, i)
		result := make(chan error, 1)
		go func() {
			_, err := v.Verify(context.Background(), token, now)
			result <- err
		}()
		synctest.Wait()
		assert.Empty(t, result)
		close(release)
		assert.NoError(t, <-result)
	})
}

// elapse lets virtual time pass and everything settle.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
