package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidingsmesh/tidings/authz"
)

type tokenCmd struct {
	Subject string        `name:"sub" required:"" placeholder:"USER" help:"Who the token is for."`
	Room    []string      `sep:"none" placeholder:"PATTERN" help:"Rooms granted, as kind:id or kind:*; repeatable."`
	TTL     time.Duration `name:"ttl" default:"1h" placeholder:"DURATION" help:"How long it is valid."`

	JWTSecret Secret `name:"jwt-secret" placeholder:"SECRET" help:"The server's secret; better as TIDINGS_JWT_SECRET than on a command line."`
	Audience  string `placeholder:"AUDIENCE" help:"The token's aud, where the server asks for one."`
	Issuer    string `placeholder:"ISSUER" help:"The token's iss, where the server asks for one."`
}

// Run prints the token and nothing else, so that TIDINGS_TOKEN="$(tidings token …)" works.
func (c *tokenCmd) Run(m *Main, o origins) error {
	if c.JWTSecret == "" {
		return &usageError{errors.New("no secret to sign with: give --jwt-secret or TIDINGS_JWT_SECRET, the same as the server has")}
	}
	if c.TTL < time.Second {
		return &usageError{o.errorf("ttl", "%s is below the least, 1s", display(c.TTL))}
	}
	now := time.Now()
	token, err := authz.Sign([]byte(c.JWTSecret), authz.TokenClaims{
		Subject:  c.Subject,
		Rooms:    c.Room,
		Expires:  now.Add(c.TTL),
		IssuedAt: now,
		Audience: c.Audience,
		Issuer:   c.Issuer,
	})
	if err != nil {
		return &usageError{err}
	}
	_, err = fmt.Fprintln(m.Stdout, token)
	return err
}
