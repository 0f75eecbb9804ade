package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"time"

	"github.com/tidingsmesh/tidings/internal/bytesize"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

// noKey tells an operator precisely what serve waits for.
const noKey = `no key to verify tokens with. Give at least one of
  --jwt-secret SECRET  a shared secret of at least 32 bytes, better as TIDINGS_JWT_SECRET="$(openssl rand -hex 32)"
  --jwt-key FILE       a public key in PEM
  --jwks URL           where an identity provider publishes its keys
or, to try it out, --dev, which makes a secret and prints tokens that fit`

var edgeName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// validate checks what can be known before anything starts, and reports all of it at once. It reads the files that are
// named, and opens no connection.
func (c *ServeConfig) validate(o origins) error {
	var wrong problems
	check := func(flag string, err error) {
		if err != nil {
			wrong = append(wrong, o.errorf(flag, "%w", err))
		}
	}

	check("http", address(c.HTTP))
	check("admin", address(c.Admin))
	check("admin", apart(c.HTTP, c.Admin))
	for _, origin := range c.Origin {
		check("origin", webOrigin(origin))
	}
	if c.EdgeName != "" && !edgeName.MatchString(c.EdgeName) {
		check("edge-name", fmt.Errorf("%q is not 1 to 64 of A-Z a-z 0-9 _ -", c.EdgeName))
	}
	check("drain", between(c.Drain, 0, 10*time.Minute))
	check("deflate-from", between(c.DeflateFrom, 0, 8*bytesize.Mebibyte))
	check(c.tls())
	check("transport", c.driver())

	if c.NATS == "" {
		check("nats-listen", address(c.NATSListen))
		check("nats-listen", apart(c.HTTP, c.NATSListen))
		check("nats-listen", apart(c.Admin, c.NATSListen))
		if c.Data == "" {
			check("data", errors.New("the embedded NATS needs a folder"))
		}
		for _, flag := range loginFlags {
			if o.given(flag) {
				check(flag, errors.New("belongs to --nats, which is not given"))
			}
		}
	} else {
		check("nats", serverURLs(c.NATS))
		if o.given("nats-listen") {
			check("nats-listen", fmt.Errorf("excludes %s: listening is for the embedded NATS", o.of("nats")))
		}
		c.NATSLogin.validate(check)
	}

	if !c.hasKey() && !c.Dev {
		wrong = append(wrong, errors.New(noKey))
	}
	if c.JWTSecret != "" {
		check("jwt-secret", authz.Config{Secret: []byte(c.JWTSecret)}.Validate())
	}
	for _, key := range c.JWTKey {
		check("jwt-key", authz.Config{KeyFiles: []string{key}}.Validate())
	}
	if c.JWKS != "" {
		one := authz.DefaultConfig()
		one.JWKSURL = string(c.JWKS)
		check("jwks", one.Validate())
	}
	check("leeway", between(c.Leeway, 0, authz.MaxLeeway))
	for _, pattern := range c.Public {
		_, err := authz.ParsePattern(pattern)
		check("public", err)
	}
	_, err := schema.Load(c.Schemas)
	check("schemas", err)
	check("linger", between(c.Linger, 0, 24*time.Hour))
	check("audit", between(c.Audit, time.Second, 24*time.Hour))
	check("settle", between(c.Settle, 0, time.Hour))

	const most = 1_000_000
	check("max-message", between(c.MaxMessage, bytesize.Kibibyte, bytesize.Mebibyte))
	check("max-token", between(c.MaxToken, 256*bytesize.Byte, authz.MaxTokenBytes*bytesize.Byte))
	check("max-handshake", between(c.MaxHandshake, bytesize.Kibibyte, bytesize.Mebibyte))
	check("max-headers", between(c.MaxHeaders, 8, 1000))
	check("handshake-timeout", between(c.HandshakeTimeout, 100*time.Millisecond, time.Minute))
	check("hello-timeout", between(c.HelloTimeout, 100*time.Millisecond, time.Minute))
	check("max-rooms", between(c.MaxRooms, 1, 10_000))
	check("join-rate", between(c.JoinRate, 1, most))
	check("join-burst", between(c.JoinBurst, 1, most))
	check("max-per-user", between(c.MaxPerUser, 1, most))
	check("max-per-address", between(c.MaxPerAddress, 1, most))
	check("client-buffer", between(c.ClientBuffer, bytesize.Kibibyte, bytesize.Gibibyte))
	if c.ClientBuffer < c.StreamMaxMessage {
		check("client-buffer", fmt.Errorf("%s cannot hold one event of --stream-max-message, %s", c.ClientBuffer, c.StreamMaxMessage))
	}
	check("total-buffer", between(c.TotalBuffer, bytesize.Kibibyte, bytesize.Tebibyte))
	if c.TotalBuffer < c.ClientBuffer {
		check("total-buffer", fmt.Errorf("%s is below --client-buffer, %s", c.TotalBuffer, c.ClientBuffer))
	}
	check("slow-timeout", between(c.SlowTimeout, time.Second, time.Hour))
	check("ping", between(c.Ping, time.Second, time.Hour))
	check("pong-timeout", between(c.PongTimeout, 100*time.Millisecond, time.Minute))

	if c.StreamReplicas != 1 && c.StreamReplicas != 3 && c.StreamReplicas != 5 {
		check("stream-replicas", fmt.Errorf("%d is not 1, 3 or 5", c.StreamReplicas))
	} else if c.StreamReplicas > 1 && c.NATS == "" {
		check("stream-replicas", errors.New("more than 1 needs a cluster, given by --nats; the embedded NATS is one server"))
	}
	check("stream-max-age", between(c.StreamMaxAge, time.Minute, 10*365*24*time.Hour))
	check("stream-max-bytes", between(c.StreamMaxBytes, bytesize.Mebibyte, 1024*bytesize.Tebibyte))
	check("stream-history", between(c.StreamHistory, 1, most))
	check("stream-max-message", between(c.StreamMaxMessage, bytesize.Kibibyte, 8*bytesize.Mebibyte))
	return wrong.asError()
}

// tls checks that certificate and key are both there and belong together.
func (c *ServeConfig) tls() (flag string, err error) {
	switch {
	case c.TLSCert == "" && c.TLSKey == "":
		return "tls-cert", nil
	case c.TLSKey == "":
		return "tls-cert", errors.New("needs --tls-key beside it")
	case c.TLSCert == "":
		return "tls-key", errors.New("needs --tls-cert beside it")
	}
	_, err = tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	return "tls-cert", err
}

// driver refuses the epoll transport where it cannot work.
func (c *ServeConfig) driver() error {
	switch {
	case c.Transport != "epoll":
	case runtime.GOOS != "linux":
		return fmt.Errorf("epoll is Linux only, this is %s; use auto", runtime.GOOS)
	case c.TLSCert != "":
		return errors.New("epoll carries no TLS; use auto, or end TLS at a proxy in front")
	}
	return nil
}
