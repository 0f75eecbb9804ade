package authz_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
)

// patience bounds every wait of these tests. Machines that run them may be busy.
const patience = 60 * time.Second

// issuer is a key server whose answer can be changed.
type issuer struct {
	url      string
	requests atomic.Int64
	answer   atomic.Pointer[http.HandlerFunc]
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.requests.Add(1)
	(*i.answer.Load())(w, r)
}

func (i *issuer) serve(h http.HandlerFunc) { i.answer.Store(&h) }

func (i *issuer) body(status int, body string) {
	i.serve(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

func (i *issuer) publish(jwks ...string) {
	i.body(http.StatusOK, `{"keys":[`+strings.Join(jwks, ",")+`]}`)
}

func startIssuer(t *testing.T, jwks ...string) *issuer {
	t.Helper()
	i := &issuer{}
	i.publish(jwks...)
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL + "/jwks.json"
	return i
}

// config asks the issuer again at every unknown kid, and otherwise not before the test has ended.
func (i *issuer) config() authz.Config {
	cfg := authz.DefaultConfig()
	cfg.JWKSURL = i.url
	cfg.Audience = "" // the tokens of these tests have none
	cfg.JWKSInterval = time.Hour
	cfg.JWKSMinInterval = time.Nanosecond
	return cfg
}

// jwk describes a public key; members are added to it or replace its own.
func jwk(tb testing.TB, kid string, public crypto.PublicKey, members ...string) string {
	tb.Helper()
	k, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}})
	require.NoError(tb, err)
	m := map[string]json.RawMessage{}
	require.NoError(tb, json.Unmarshal(must(json.Marshal(k.Marshal())), &m))
	for i := 0; i < len(members); i += 2 {
		m[members[i]] = json.RawMessage(members[i+1])
	}
	return string(must(json.Marshal(m)))
}

func edToken(kid string) string {
	return mint(jwt.SigningMethodEdDSA, edKey(), fmt.Sprintf(`{"alg":"EdDSA","kid":%q}`, kid), good)
}

func otherEdToken(kid string) string {
	return mint(jwt.SigningMethodEdDSA, otherEd(), fmt.Sprintf(`{"alg":"EdDSA","kid":%q}`, kid), good)
}

// runReady runs a verifier that has fetched its keys.
func runReady(t *testing.T, cfg authz.Config) *authz.Verifier {
	t.Helper()
	v := newVerifier(t, cfg)
	run(t, v)
	require.Eventually(t, func() bool { return v.Ready() == nil }, patience, time.Millisecond)
	return v
}

func TestJWKS_EveryAlgorithmByKid(t *testing.T) {
	var keys []string
	for n, f := range families {
		keys = append(keys, jwk(t, fmt.Sprint(n), f.key().Public(), "use", `"sig"`))
	}
	v := runReady(t, startIssuer(t, keys...).config())
	assert.True(t, v.Blocking())
	for n, f := range families {
		for _, method := range f.algs {
			token := func(kid string) string {
				return mint(method, f.key(), fmt.Sprintf(`{"alg":%q,"kid":%q}`, method.Alg(), kid), good)
			}
			accepted(t, v, token(fmt.Sprint(n)))
			denied(t, v, token(fmt.Sprint((n+1)%len(families))), authz.RuleAlgorithm)
			accepted(t, v, mint(method, f.key(), fmt.Sprintf(`{"alg":%q}`, method.Alg()), good))
		}
	}
	denied(t, v, otherEdToken("4"), authz.RuleSignature)
	denied(t, v, hs256(`{"alg":"HS256","kid":"0"}`, good), authz.RuleAlgorithm)
	public := publicPEM(t, rsaKey())
	denied(t, v, mint(jwt.SigningMethodHS256, public, `{"alg":"HS256","kid":"0"}`, good), authz.RuleAlgorithm)
}

func TestJWKS_AlgMemberPinsTheKey(t *testing.T) {
	v := runReady(t, startIssuer(t, jwk(t, "a", rsaKey().Public(), "alg", `"RS256"`)).config())
	accepted(t, v, mint(jwt.SigningMethodRS256, rsaKey(), `{"alg":"RS256","kid":"a"}`, good))
	denied(t, v, mint(jwt.SigningMethodPS256, rsaKey(), `{"alg":"PS256","kid":"a"}`, good), authz.RuleAlgorithm)
	denied(t, v, mint(jwt.SigningMethodRS512, rsaKey(), `{"alg":"RS512","kid":"a"}`, good), authz.RuleAlgorithm)
}

func TestJWKS_TokenWithoutKidNeedsTheOnlyKey(t *testing.T) {
	bare := mint(jwt.SigningMethodEdDSA, edKey(), `{"alg":"EdDSA"}`, good)
	i := startIssuer(t, jwk(t, "a", edKey().Public()), jwk(t, "b", p256Key().Public()))
	accepted(t, runReady(t, i.config()), bare)
	i.publish(jwk(t, "a", edKey().Public()), jwk(t, "b", otherEd().Public()))
	denied(t, runReady(t, i.config()), bare, authz.RuleUnknownKey)
}

func TestJWKS_BesideSecretAndFiles(t *testing.T) {
	cfg := startIssuer(t, jwk(t, "a", otherEd().Public())).config()
	cfg.Secret = secret
	cfg.KeyFiles = fileConfig(t, edKey(), p256Key()).KeyFiles
	v := runReady(t, cfg)
	accepted(t, v, hs256(`{"alg":"HS256","kid":"nobody"}`, good))
	accepted(t, v, edToken("nobody"))
	accepted(t, v, mint(jwt.SigningMethodES256, p256Key(), `{"alg":"ES256"}`, good))
	accepted(t, v, otherEdToken("a"))
	denied(t, v, otherEdToken("nobody"), authz.RuleUnknownKey)
}

func TestJWKS_IgnoresKeysThatMustNotVerify(t *testing.T) {
	symmetric := fmt.Sprintf(`{"kty":"oct","kid":"a","k":%q}`, b64(string(secret)))
	short := *rsaKey()
	short.PublicKey.N = new(big.Int).Rsh(rsaKey().N, 1)
	rs := mint(jwt.SigningMethodRS256, rsaKey(), `{"alg":"RS256","kid":"a"}`, good)
	for name, c := range map[string]struct{ jwk, token string }{
		"symmetric":        {symmetric, hs256(`{"alg":"HS256","kid":"a"}`, good)},
		"use enc":          {jwk(t, "a", edKey().Public(), "use", `"enc"`), edToken("a")},
		"key_ops":          {jwk(t, "a", edKey().Public(), "key_ops", `["encrypt"]`), edToken("a")},
		"private":          {jwk(t, "a", edKey().Public(), "d", `"`+b64(string(edKey().Seed()))+`"`), edToken("a")},
		"alg of other key": {jwk(t, "a", edKey().Public(), "alg", `"RS256"`), edToken("a")},
		"alg none":         {jwk(t, "a", edKey().Public(), "alg", `"none"`), edToken("a")},
		"alg HS256":        {jwk(t, "a", rsaKey().Public(), "alg", `"HS256"`), rs},
		"RSA 1024":         {jwk(t, "a", weakRSA().Public()), mint(jwt.SigningMethodRS256, weakRSA(), `{"alg":"RS256","kid":"a"}`, good)},
		"RSA 2047":         {jwk(t, "a", &short.PublicKey), rs},
		"RSA exponent 1":   {jwk(t, "a", rsaKey().Public(), "e", `"AQ"`), rs},
		"RSA exponent 2":   {jwk(t, "a", rsaKey().Public(), "e", `"Ag"`), rs},
		"RSA exponent big": {jwk(t, "a", rsaKey().Public(), "e", `"AQAAAAAAAAABAAE"`), rs},
		"off the curve":    {jwk(t, "a", p256Key().Public(), "y", `"AQ"`), mint(jwt.SigningMethodES256, p256Key(), `{"alg":"ES256","kid":"a"}`, good)},
		"other curve":      {jwk(t, "a", p256Key().Public(), "crv", `"secp256k1"`), mint(jwt.SigningMethodES256, p256Key(), `{"alg":"ES256","kid":"a"}`, good)},
		"wrong curve":      {jwk(t, "a", p256Key().Public(), "crv", `"P-384"`), mint(jwt.SigningMethodES256, p256Key(), `{"alg":"ES256","kid":"a"}`, good)},
		"X25519":           {jwk(t, "a", edKey().Public(), "crv", `"X25519"`), edToken("a")},
		"kty unknown":      {jwk(t, "a", edKey().Public(), "kty", `"AKP"`), edToken("a")},
		"kid no string":    {jwk(t, "a", edKey().Public(), "kid", `7`), edToken("a")},
		"kid too long":     {jwk(t, strings.Repeat("a", 257), edKey().Public()), edToken("a")},
		"no object":        {`"a"`, edToken("a")},
		"null":             {`null`, edToken("a")},
	} {
		t.Run(name, func(t *testing.T) {
			v := runReady(t, startIssuer(t, c.jwk, jwk(t, "b", otherEd().Public())).config())
			accepted(t, v, otherEdToken("b"))
			rule := authz.RuleUnknownKey
			if name == "symmetric" {
				rule = authz.RuleAlgorithm
			}
			denied(t, v, c.token, rule)
		})
	}
}

func TestJWKS_CertificatesAroundAKeyDoNotMatter(t *testing.T) {
	i := startIssuer(t, jwk(t, "a", edKey().Public(), "x5c", `["not a certificate"]`, "x5t", `"x"`, "x5u", `"http://127.0.0.1:1/"`))
	accepted(t, runReady(t, i.config()), edToken("a"))
}

func TestJWKS_RotationIsFollowedAtTheFirstUnknownKid(t *testing.T) {
	i := startIssuer(t, jwk(t, "old", edKey().Public()))
	v := runReady(t, i.config())
	accepted(t, v, edToken("old"))
	i.publish(jwk(t, "old", edKey().Public()), jwk(t, "new", otherEd().Public()))
	accepted(t, v, otherEdToken("new"))
	accepted(t, v, edToken("old"))
	i.publish(jwk(t, "new", otherEd().Public()))
	assert.False(t, denied(t, v, edToken("third"), authz.RuleUnknownKey).Retryable, "the set is fresh")
	denied(t, v, edToken("old"), authz.RuleUnknownKey)
	accepted(t, v, otherEdToken("new"))
}

func TestJWKS_BadAnswersNeverReplaceTheLastGoodSet(t *testing.T) {
	goodKey := jwk(t, "a", edKey().Public())
	i := startIssuer(t, goodKey)
	var out lockedBuffer
	cfg := i.config()
	cfg.JWKSMinInterval = 2 * time.Millisecond
	v, err := authz.NewVerifier(cfg, slog.New(slog.NewTextHandler(&out, nil)))
	require.NoError(t, err)
	run(t, v)
	require.Eventually(t, func() bool { return v.Ready() == nil }, patience, time.Millisecond)

	set := `{"keys":[` + goodKey + `]}`
	for name, answer := range map[string]http.HandlerFunc{
		"empty set":      text(200, `{"keys":[]}`),
		"no keys":        text(200, `{}`),
		"null":           text(200, `null`),
		"empty body":     text(200, ``),
		"garbage":        text(200, "\x00\xff\x1f\x8b garbage"),
		"HTML":           text(200, `<html>maintenance</html>`),
		"cut off":        text(200, set[:len(set)-2]),
		"two documents":  text(200, set+set),
		"list":           text(200, `[`+goodKey+`]`),
		"keys no list":   text(200, `{"keys":"a"}`),
		"only symmetric": text(200, `{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`),
		"too many keys":  text(200, `{"keys":[`+strings.TrimSuffix(strings.Repeat(goodKey+",", 257), ",")+`]}`),
		"too long":       text(200, set+strings.Repeat(" ", 512<<10)),
		"status 500":     text(500, set),
		"status 404":     text(404, set),
		"status 204":     text(204, ""),
		"hangs up":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirect loop":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) },
		"redirect abroad": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			i.serve(answer)
			out.Reset()
			before := i.requests.Load()
			require.Eventually(t, func() bool { // the first request may have begun before the answer changed
				d := denied(t, v, edToken("unknown"), authz.RuleUnknownKey)
				assert.True(t, d.Retryable, "the issuer could not say that the key is unknown")
				return i.requests.Load() >= before+2 && strings.Contains(out.String(), "key set not refreshed")
			}, patience, time.Millisecond)
			accepted(t, v, edToken("a"))
			assert.NoError(t, v.Ready())
		})
	}
	i.publish(jwk(t, "b", otherEd().Public()))
	require.Eventually(t, func() bool {
		_, err := v.Verify(t.Context(), otherEdToken("b"), now)
		return err == nil
	}, patience, time.Millisecond)
	denied(t, v, edToken("a"), authz.RuleUnknownKey)
}

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestJWKS_StartsWithoutTheIssuerAndRecovers(t *testing.T) {
	i := startIssuer(t)
	i.body(http.StatusServiceUnavailable, "")
	cfg := i.config()
	cfg.JWKSMinInterval = 5 * time.Millisecond
	v := newVerifier(t, cfg)
	require.ErrorIs(t, v.Ready(), authz.ErrKeysUnavailable)
	require.ErrorContains(t, v.Ready(), "not fetched yet")
	assert.True(t, denied(t, v, edToken("a"), authz.RuleKeysUnavailable).Retryable, "before Run")

	run(t, v)
	assert.True(t, denied(t, v, edToken("a"), authz.RuleKeysUnavailable).Retryable, "during the outage")
	require.Eventually(t, func() bool { return strings.Contains(v.Ready().Error(), "status 503") }, patience, time.Millisecond)
	denied(t, v, hs256(hsHeader, good), authz.RuleAlgorithm)

	i.publish(jwk(t, "a", edKey().Public()))
	require.Eventually(t, func() bool { return v.Ready() == nil }, patience, time.Millisecond)
	accepted(t, v, edToken("a"))
}

func TestJWKS_NobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	cfg := (&issuer{url: server.URL}).config()
	cfg.JWKSMinInterval = time.Millisecond
	v := newVerifier(t, cfg)
	stop := run(t, v)
	require.Eventually(t, func() bool { return strings.Contains(v.Ready().Error(), "refused") }, patience, time.Millisecond)
	assert.True(t, denied(t, v, edToken("a"), authz.RuleKeysUnavailable).Retryable)
	stop()
	assert.True(t, denied(t, v, edToken("a"), authz.RuleKeysUnavailable).Retryable, "after Run")
	assert.ErrorIs(t, v.Run(context.Background()), authz.ErrRanBefore)
}

func TestJWKS_MessagesTellNeitherPasswordNorQuery(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	i := startIssuer(t)
	for name, c := range map[string]struct {
		server string
		answer http.HandlerFunc
		want   string
	}{
		"nobody listens": {gone.URL, nil, "refused"},
		"garbage":        {i.url, text(200, "garbage"), "no JWK set"},
		"status 500":     {i.url, text(500, ""), "status 500"},
		"redirect": {i.url, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://u:hunter2@192.0.2.1/?key=s3cr3t", http.StatusFound)
		}, "use https"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.answer != nil {
				i.serve(c.answer)
			}
			var out lockedBuffer
			cfg := i.config()
			cfg.JWKSURL = strings.Replace(c.server, "://", "://u:hunter2@", 1) + "?key=s3cr3t"
			v, err := authz.NewVerifier(cfg, slog.New(slog.NewTextHandler(&out, nil)))
			require.NoError(t, err)
			run(t, v)
			require.Eventually(t, func() bool { return strings.Contains(out.String(), c.want) }, patience, time.Millisecond)
			for _, told := range []string{v.Ready().Error(), out.String()} {
				assert.Contains(t, told, "key set from http://u:xxxxx@127.0.0.1:")
				assert.NotContains(t, told, "hunter2")
				assert.NotContains(t, told, "s3cr3t")
			}
		})
	}
}

func TestJWKS_SlowIssuerIsGivenUp(t *testing.T) {
	i := startIssuer(t, jwk(t, "a", edKey().Public()))
	cfg := i.config()
	cfg.JWKSTimeout = 500 * time.Millisecond
	v := runReady(t, cfg)

	asked := make(chan struct{}, 8)
	i.serve(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(`{"keys":[`)) // and never the rest
		_ = http.NewResponseController(w).Flush()
		asked <- struct{}{}
		<-r.Context().Done()
	})
	start := time.Now()
	assert.True(t, denied(t, v, edToken("b"), authz.RuleUnknownKey).Retryable)
	assert.GreaterOrEqual(t, time.Since(start), cfg.JWKSTimeout)
	accepted(t, v, edToken("a"))
	<-asked
}

func TestJWKS_TheCallersContextEndsTheWait(t *testing.T) {
	i := startIssuer(t, jwk(t, "a", edKey().Public()))
	cfg := i.config()
	cfg.JWKSTimeout = patience
	v := runReady(t, cfg)
	asked := make(chan struct{}, 8)
	i.serve(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := v.Verify(ctx, edToken("b"), now)
	var d *authz.Denial
	require.ErrorAs(t, err, &d)
	assert.True(t, d.Retryable)
	require.Error(t, ctx.Err(), "the wait ended before")
}

func TestJWKS_EndOfRunFreesWhoWaits(t *testing.T) {
	i := startIssuer(t)
	asked := make(chan struct{}, 1)
	i.serve(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	})
	v := newVerifier(t, i.config())
	stop := run(t, v)
	<-asked
	result := make(chan error, 1)
	go func() {
		_, err := v.Verify(context.Background(), edToken("a"), now)
		result <- err
	}()
	stop()
	var d *authz.Denial
	require.ErrorAs(t, <-result, &d)
	assert.Equal(t, authz.RuleKeysUnavailable, d.Rule)
}

func TestJWKS_FloodOfUnknownKidsCostsOneRequestPerInterval(t *testing.T) {
	i := startIssuer(t, jwk(t, "a", edKey().Public()))
	cfg := i.config()
	cfg.JWKSMinInterval = 40 * time.Millisecond
	start := time.Now()
	v := runReady(t, cfg)
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			for m := range 50 {
				denied(t, v, edToken(fmt.Sprintf("unknown-%d-%d", n, m)), authz.RuleUnknownKey)
			}
		})
	}
	wg.Wait()
	accepted(t, v, edToken("a"))
	allowed := int64(time.Since(start)/cfg.JWKSMinInterval) + 1
	assert.LessOrEqual(t, i.requests.Load(), allowed)
}

func TestJWKS_FloodWithinOneIntervalCostsNothing(t *testing.T) {
	i := startIssuer(t, jwk(t, "a", edKey().Public()))
	cfg := i.config()
	cfg.JWKSMinInterval = time.Hour
	v := runReady(t, cfg)
	var wg sync.WaitGroup
	for n := range 100 {
		wg.Go(func() {
			for m := range 10 {
				d := denied(t, v, edToken(fmt.Sprintf("unknown-%d-%d", n, m)), authz.RuleUnknownKey)
				assert.True(t, d.Retryable, "a newer set may have the key")
			}
		})
	}
	wg.Wait()
	assert.Equal(t, int64(1), i.requests.Load())
}

func TestJWKS_OverTLSWithTheCallersClient(t *testing.T) {
	i := &issuer{}
	i.publish(jwk(t, "a", edKey().Public()))
	server := httptest.NewUnstartedServer(i)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	cfg := (&issuer{url: server.URL}).config()
	cfg.HTTPClient = server.Client()
	accepted(t, runReady(t, cfg), edToken("a"))

	cfg.HTTPClient = nil // does not know the authority
	cfg.JWKSMinInterval = time.Millisecond
	v := newVerifier(t, cfg)
	run(t, v)
	require.Eventually(t, func() bool { return strings.Contains(v.Ready().Error(), "certificate") }, patience, time.Millisecond)
}

// lockedBuffer is a log that the goroutine of Run writes and the test reads.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *lockedBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Reset()
}
