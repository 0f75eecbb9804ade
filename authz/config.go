package authz

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// DefaultLeeway forgives a difference between the issuer's clock and ours.
	DefaultLeeway = 30 * time.Second

	// MaxLeeway bounds Config.Leeway.
	MaxLeeway = 60 * time.Second

	maxJWKSTimeout = time.Minute
)

// Config says which tokens are accepted. At least one of Secret, KeyFiles and JWKSURL is needed; several may be given
// at once, and a token is then checked with the keys that fit its alg and kid. Begin with DefaultConfig: the zero value
// of a duration is not replaced by its default.
type Config struct {
	// Secret is a shared secret for HS256, HS384 and HS512, at least MinSecretBytes long. Whoever holds it can make
	// tokens. It must not be changed after NewVerifier.
	Secret []byte

	// KeyFiles are PEM files with public keys or certificates, read once. RSA of 2048 to 8192 bits (RS256 to RS512, PS256
	// to PS512), EC on P-256, P-384 or P-521 (ES256, ES384 or ES512) and Ed25519 (EdDSA); at most 16 keys together.
	KeyFiles []string

	// JWKSURL is where the issuer publishes its keys as a JWK set. It must be https, or http on this host, because
	// whoever can change the answer can make tokens. Give Audience too: the same issuer signs for other services.
	JWKSURL string

	// Audience must be in the aud claim. Empty: aud is not looked at.
	Audience string

	// Issuer must be the iss claim. Empty: iss is not looked at.
	Issuer string

	// Leeway is added to exp and taken from nbf and iat. 0 to MaxLeeway; default DefaultLeeway.
	Leeway time.Duration

	// JWKSInterval is the time between two refreshes of the key set; up to a tenth is added at random, so that the edges
	// of a mesh do not ask together. Default 10 min; a key that the issuer withdraws stays good for that long.
	JWKSInterval time.Duration

	// JWKSMinInterval is the least time between two requests for whatever reason: an unknown kid, a retry after a failure,
	// a refresh. Default 15 s; a token signed with a key that is newer than the last request may have to wait for it.
	JWKSMinInterval time.Duration

	// JWKSTimeout bounds one request with its answer, and so the time that Verify may wait. Default 5 s, at most 1 min.
	JWKSTimeout time.Duration

	// HTTPClient fetches the key set. Default: a client of its own that honours the proxy environment, keeps no idle
	// connections and follows at most three redirects, none of them to a URL that JWKSURL could not be.
	HTTPClient *http.Client
}

// DefaultConfig returns the defaults. It has no key.
func DefaultConfig() Config {
	return Config{
		Leeway:          DefaultLeeway,
		JWKSInterval:    10 * time.Minute,
		JWKSMinInterval: 15 * time.Second,
		JWKSTimeout:     5 * time.Second,
	}
}

// Validate reports everything that is wrong, joined. It reads the key files but does not ask the JWKS URL. The errors
// wrap ErrNoKey, ErrSecret, ErrKeyFile or ErrConfig.
func (c Config) Validate() error {
	_, err := c.load()
	return err
}

// load validates the configuration and returns the keys that are known from the start.
func (c Config) load() ([]key, error) {
	var errs []error
	var keys []key
	if len(c.Secret) == 0 && len(c.KeyFiles) == 0 && c.JWKSURL == "" {
		errs = append(errs, ErrNoKey)
	}
	if len(c.Secret) > 0 {
		k, err := newSecretKey(c.Secret)
		keys, errs = append(keys, k), append(errs, err)
	}
	files, err := readKeyFiles(c.KeyFiles)
	keys, errs = append(keys, files...), append(errs, err)
	if c.Leeway < 0 || c.Leeway > MaxLeeway {
		errs = append(errs, fmt.Errorf("%w: a leeway of %v; it must be between 0s and %v", ErrConfig, c.Leeway, MaxLeeway))
	}
	if c.JWKSURL != "" {
		errs = append(errs, c.checkJWKS())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return keys, nil
}

func (c Config) checkJWKS() error {
	u, err := url.Parse(c.JWKSURL)
	if err != nil {
		return fmt.Errorf("%w: the JWKS URL cannot be parsed; it must look like https://issuer.example/.well-known/jwks.json", ErrConfig)
	}
	if err := checkJWKSURL(u); err != nil {
		return err
	}
	switch {
	case c.JWKSMinInterval <= 0:
		return fmt.Errorf("%w: a least interval of %v between two JWKS requests; it must be positive", ErrConfig, c.JWKSMinInterval)
	case c.JWKSInterval < c.JWKSMinInterval:
		return fmt.Errorf("%w: a JWKS interval of %v; it must be at least the least interval, %v", ErrConfig, c.JWKSInterval, c.JWKSMinInterval)
	case c.JWKSTimeout <= 0 || c.JWKSTimeout > maxJWKSTimeout:
		return fmt.Errorf("%w: a JWKS timeout of %v; it must be positive and at most %v", ErrConfig, c.JWKSTimeout, maxJWKSTimeout)
	}
	return nil
}

// checkJWKSURL refuses a URL over which a stranger could give us keys.
func checkJWKSURL(u *url.URL) error {
	host := u.Hostname()
	ip := net.ParseIP(host)
	switch {
	case u.Scheme == "https" && host != "":
		return nil
	case u.Scheme == "http" && (host == "localhost" || ip != nil && ip.IsLoopback()):
		return nil
	case u.Scheme == "http" && host != "":
		return fmt.Errorf("%w: the JWKS URL %s is http; use https, because whoever can change the answer can make tokens", ErrConfig, redacted(u))
	default:
		return fmt.Errorf("%w: the JWKS URL %s must look like https://issuer.example/.well-known/jwks.json", ErrConfig, redacted(u))
	}
}

// redacted is u for messages: without password and query, either of which may be the key to the key server.
func redacted(u *url.URL) string {
	shown := *u
	if shown.RawQuery != "" {
		shown.RawQuery = "…"
	}
	return shown.Redacted()
}
