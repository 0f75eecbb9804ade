package authz_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
)

func TestConfig_ErrorsSayWhatToDo(t *testing.T) {
	jwks := func(change func(*authz.Config)) authz.Config {
		cfg := authz.DefaultConfig()
		cfg.JWKSURL = "https://issuer.example/jwks.json"
		change(&cfg)
		return cfg
	}
	with := func(change func(*authz.Config)) authz.Config {
		cfg := secretConfig()
		change(&cfg)
		return cfg
	}
	for name, c := range map[string]struct {
		cfg  authz.Config
		want error
		text string
	}{
		"no key":            {authz.DefaultConfig(), authz.ErrNoKey, "give a shared secret"},
		"empty secret":      {authz.Config{Secret: []byte{}}, authz.ErrNoKey, "give a shared secret"},
		"short secret":      {authz.Config{Secret: secret[:31]}, authz.ErrSecret, "31 bytes, at least 32 are needed"},
		"PEM as secret":     {authz.Config{Secret: publicPEM(t, edKey())}, authz.ErrSecret, "belongs in a key file"},
		"negative leeway":   {with(func(c *authz.Config) { c.Leeway = -1 }), authz.ErrConfig, "between 0s and 1m0s"},
		"leeway too long":   {with(func(c *authz.Config) { c.Leeway = time.Minute + 1 }), authz.ErrConfig, "between 0s and 1m0s"},
		"JWKS over http":    {jwks(func(c *authz.Config) { c.JWKSURL = "http://issuer.example/jwks.json" }), authz.ErrConfig, "use https"},
		"JWKS without host": {jwks(func(c *authz.Config) { c.JWKSURL = "issuer.example/jwks.json" }), authz.ErrConfig, "must look like https://"},
		"JWKS scheme":       {jwks(func(c *authz.Config) { c.JWKSURL = "file:///etc/jwks.json" }), authz.ErrConfig, "must look like https://"},
		"JWKS unparsable":   {jwks(func(c *authz.Config) { c.JWKSURL = "https://%zz" }), authz.ErrConfig, "cannot be parsed"},
		"JWKS min 0":        {jwks(func(c *authz.Config) { c.JWKSMinInterval = 0 }), authz.ErrConfig, "must be positive"},
		"JWKS interval":     {jwks(func(c *authz.Config) { c.JWKSInterval = time.Second }), authz.ErrConfig, "at least the least interval, 15s"},
		"JWKS timeout 0":    {jwks(func(c *authz.Config) { c.JWKSTimeout = 0 }), authz.ErrConfig, "at most 1m0s"},
		"JWKS timeout":      {jwks(func(c *authz.Config) { c.JWKSTimeout = time.Hour }), authz.ErrConfig, "at most 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.cfg.Validate()
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.text)
			_, err = authz.NewVerifier(c.cfg, quiet)
			assert.ErrorIs(t, err, c.want)
		})
	}
	assert.NoError(t, secretConfig().Validate())
	assert.NoError(t, jwks(func(*authz.Config) {}).Validate())
	for _, local := range []string{"http://127.0.0.1:8081/jwks", "http://localhost/jwks", "http://[::1]:9/jwks"} {
		assert.NoError(t, jwks(func(c *authz.Config) { c.JWKSURL = local }).Validate(), local)
	}
}

func TestConfig_ReportsAllErrorsAtOnce(t *testing.T) {
	cfg := authz.Config{Secret: []byte("short"), KeyFiles: []string{"/does/not/exist"}, Leeway: time.Hour, JWKSURL: "http://x"}
	err := cfg.Validate()
	require.ErrorIs(t, err, authz.ErrSecret)
	require.ErrorIs(t, err, authz.ErrKeyFile)
	require.ErrorIs(t, err, authz.ErrConfig)
	require.ErrorContains(t, err, "leeway")
	require.ErrorContains(t, err, "use https")
}

func TestConfig_SecretNeverInErrors(t *testing.T) {
	err := authz.Config{Secret: []byte("hunter2")}.Validate()
	assert.NotContains(t, err.Error(), "hunter2")
	for _, url := range []string{"http://u:hunter2@id.example/?key=hunter2", "id.example?key=hunter2"} {
		cfg := authz.DefaultConfig()
		cfg.JWKSURL = url
		err := cfg.Validate()
		require.ErrorIs(t, err, authz.ErrConfig)
		assert.Contains(t, err.Error(), "id.example")
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func TestKeyFiles_RefuseWhatIsNoPublicKey(t *testing.T) {
	pkcs8 := func(key any) []byte { return must(x509.MarshalPKCS8PrivateKey(key)) }
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	chain := append(certificate(t), certificate(t)...)
	good := publicPEM(t, edKey())
	for name, c := range map[string]struct {
		data []byte
		text string
	}{
		"empty":               {nil, "no PEM block"},
		"text":                {[]byte("hello"), "no PEM block"},
		"DER":                 {must(x509.MarshalPKIXPublicKey(edKey().Public())), "no PEM block"},
		"SSH":                 {[]byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@host\n"), "ssh-keygen -e"},
		"JWK set":             {[]byte(`{"keys":[]}`), "JWKS URL"},
		"private PKCS 8":      {block("PRIVATE KEY", pkcs8(edKey())), "openssl pkey -in FILE -pubout"},
		"private PKCS 1":      {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), "only the public one is wanted"},
		"private EC":          {block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p256Key()))), "only the public one is wanted"},
		"private encrypted":   {block("ENCRYPTED PRIVATE KEY", []byte("x")), "only the public one is wanted"},
		"public then private": {append(bytes.Clone(good), block("PRIVATE KEY", pkcs8(edKey()))...), "only the public one is wanted"},
		"RSA 1024":            {publicPEM(t, weakRSA()), "an RSA key of 1024 bits"},
		"RSA 1024 PKCS 1":     {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&weakRSA().PublicKey)), "an RSA key of 1024 bits"},
		"P-224":               {publicPEM(t, p224Key()), "P-224"},
		"X25519":              {block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey()))), "must be RSA, ECDSA or Ed25519"},
		"other block":         {block("CERTIFICATE REQUEST", []byte("x")), "CERTIFICATE REQUEST"},
		"broken key":          {block("PUBLIC KEY", []byte("x")), "asn1"},
		"broken certificate":  {block("CERTIFICATE", []byte("x")), "certificate"},
		"chain":               {chain, "a chain of certificates"},
		"second cut off":      {append(bytes.Clone(good), good[:40]...), "cut off or damaged"},
		"too large":           {bytes.Repeat([]byte("x"), 256<<10+1), "larger than"},
		"too many":            {bytes.Repeat(good, 17), "more than 16 keys"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, c.data)
			err := authz.Config{KeyFiles: []string{path}}.Validate()
			require.ErrorIs(t, err, authz.ErrKeyFile)
			require.ErrorContains(t, err, c.text)
			assert.ErrorContains(t, err, path)
		})
	}
	missing := filepath.Join(t.TempDir(), "none.pem")
	require.ErrorContains(t, authz.Config{KeyFiles: []string{missing}}.Validate(), missing)
	assert.ErrorIs(t, authz.Config{KeyFiles: []string{t.TempDir()}}.Validate(), authz.ErrKeyFile)
}

func TestKeyFiles_AcceptEveryPublicForm(t *testing.T) {
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)})
	several := append([]byte("our keys, old and new\n"), publicPEM(t, otherEd())...)
	several = append(several, publicPEM(t, edKey())...)
	ed := mint(jwt.SigningMethodEdDSA, edKey(), `{"alg":"EdDSA"}`, good)
	for name, c := range map[string]struct {
		data  []byte
		token string
	}{
		"PKIX":         {publicPEM(t, edKey()), ed},
		"PKCS 1":       {pkcs1, mint(jwt.SigningMethodRS256, rsaKey(), `{"alg":"RS256"}`, good)},
		"certificate":  {certificate(t), mint(jwt.SigningMethodES256, p256Key(), `{"alg":"ES256"}`, good)},
		"several keys": {several, ed},
		"CRLF":         {[]byte(strings.ReplaceAll(string(publicPEM(t, edKey())), "\n", "\r\n")), ed},
	} {
		t.Run(name, func(t *testing.T) {
			accepted(t, newVerifier(t, authz.Config{KeyFiles: []string{writeFile(t, c.data)}}), c.token)
		})
	}
}

func TestNewVerifier_WarnsOfKeySetWithoutAudience(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	cfg := authz.DefaultConfig()
	cfg.JWKSURL = "https://issuer.example/jwks.json"
	_, err := authz.NewVerifier(cfg, log)
	require.NoError(t, err)
	assert.Contains(t, out.String(), "no audience is configured")
	out.Reset()
	cfg.Audience = "tidings"
	_, err = authz.NewVerifier(cfg, log)
	require.NoError(t, err)
	assert.Empty(t, out.String())
}

// certificate returns a certificate of the P-256 key, long expired.
func certificate(t *testing.T) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tokens"},
		NotBefore: now.AddDate(-3, 0, 0), NotAfter: now.AddDate(-2, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, p256Key().Public(), p256Key())
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
