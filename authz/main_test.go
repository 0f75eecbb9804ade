package authz_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/authz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	now    = time.Unix(1_732_390_000, 0)
	secret = []byte("0123456789abcdef0123456789abcdef")
	quiet  = slog.New(slog.DiscardHandler)
)

// good is a payload that every verifier of these tests accepts at now.
var good = fmt.Sprintf(`{"sub":"alice","exp":%d,"rooms":["campaign:42","settlement:*"]}`, now.Unix()+3600)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakRSA  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	p256Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	p224Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader)) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
	otherEd  = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
	families = []struct {
		algs []jwt.SigningMethod
		key  func() crypto.Signer
	}{
		{
			[]jwt.SigningMethod{
				jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512,
				jwt.SigningMethodPS256, jwt.SigningMethodPS384, jwt.SigningMethodPS512,
			},
			func() crypto.Signer { return rsaKey() },
		},
		{[]jwt.SigningMethod{jwt.SigningMethodES256}, func() crypto.Signer { return p256Key() }},
		{[]jwt.SigningMethod{jwt.SigningMethodES384}, func() crypto.Signer { return p384Key() }},
		{[]jwt.SigningMethod{jwt.SigningMethodES512}, func() crypto.Signer { return p521Key() }},
		{[]jwt.SigningMethod{jwt.SigningMethodEdDSA}, func() crypto.Signer { return edKey() }},
	}
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// mint signs whatever header and payload it is given, as an issuer with the key could.
func mint(method jwt.SigningMethod, key any, header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	sig, err := method.Sign(signed, key)
	if err != nil {
		panic(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func hs256(header, payload string) string {
	return mint(jwt.SigningMethodHS256, secret, header, payload)
}

func publicPEM(tb testing.TB, key crypto.Signer) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(tb, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func writeFile(tb testing.TB, data []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "key.pem")
	require.NoError(tb, os.WriteFile(path, data, 0o600))
	return path
}

func secretConfig() authz.Config {
	cfg := authz.DefaultConfig()
	cfg.Secret = secret
	return cfg
}

func fileConfig(tb testing.TB, keys ...crypto.Signer) authz.Config {
	tb.Helper()
	cfg := authz.DefaultConfig()
	for _, key := range keys {
		cfg.KeyFiles = append(cfg.KeyFiles, writeFile(tb, publicPEM(tb, key)))
	}
	return cfg
}

func newVerifier(tb testing.TB, cfg authz.Config) *authz.Verifier {
	tb.Helper()
	v, err := authz.NewVerifier(cfg, quiet)
	require.NoError(tb, err)
	return v
}

// run runs the verifier until the test ends and waits for the end of Run.
func run(tb testing.TB, v *authz.Verifier) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(tb, <-ended)
	})
	tb.Cleanup(stop)
	return stop
}

// denied verifies a token that must be refused by the rule.
func denied(tb testing.TB, v *authz.Verifier, token, rule string) authz.Denial {
	tb.Helper()
	p, err := v.Verify(context.Background(), token, now)
	var d *authz.Denial
	require.ErrorAs(tb, err, &d)
	assert.Equal(tb, rule, d.Rule, d.Reason)
	assert.Contains(tb, authz.DenialRules(), d.Rule)
	assert.NotEmpty(tb, d.Reason)
	assert.Equal(tb, authz.Principal{}, p)
	return *d
}

func accepted(tb testing.TB, v *authz.Verifier, token string) authz.Principal {
	tb.Helper()
	p, err := v.Verify(context.Background(), token, now)
	require.NoError(tb, err)
	return p
}
