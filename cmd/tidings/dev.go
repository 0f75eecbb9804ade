package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/mesh"
)

// devPage is what --dev serves at /: a page to try things on, with tokens that fit and a publisher of its own. It hands
// out tokens to whoever asks, hence never without --dev.
type devPage struct {
	http.Handler
	close func()
}

// Close gives up the page's connection to NATS.
func (d *devPage) Close() { d.close() }

func newDevPage(ctx context.Context, _ ServeConfig, dial mesh.DialConfig, _ *slog.Logger) (*devPage, error) {
	dial.Name = "tidings dev page"
	nc, err := mesh.Dial(ctx, dial)
	if err != nil {
		return nil, err
	}
	return &devPage{Handler: http.NotFoundHandler(), close: nc.Close}, nil
}

// devToken is a token for the demonstration.
func (c *ServeConfig) devToken(subject string, rooms ...string) (string, error) {
	return authz.Sign([]byte(c.JWTSecret), authz.TokenClaims{
		Subject: subject, Rooms: rooms, Expires: time.Now().Add(24 * time.Hour), IssuedAt: time.Now(),
		Audience: c.Audience, Issuer: c.Issuer,
	})
}

// printDev tells a newcomer where to look and what to try.
func (c *ServeConfig) printDev(out io.Writer, browsers, operators net.Addr, workers string) error {
	alice, err := c.devToken("alice", "campaign:42", "settlement:*")
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(browsers.String())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `
Tidings runs. Try it:

  the page          http://localhost:%[1]s/
  for operators     http://%[2]s/readyz  and  /metrics

  export TIDINGS_TOKEN=%[3]s
  tidings sub campaign:42 --url ws://localhost:%[1]s/ws
  tidings pub campaign:42 settlement_updated '{"id":"42"}' --nats %[4]s

`, port, operators, alice, workers)
	return err
}
