package authz_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
)

func TestSign_VerifierAcceptsWhatWasSigned(t *testing.T) {
	cfg := secretConfig()
	cfg.Audience, cfg.Issuer = "tidings", "the cli"
	token, err := authz.Sign(secret, authz.TokenClaims{
		Subject: "alice", Rooms: []string{"campaign:42", "settlement:*"}, IssuedAt: now,
		Expires: now.Add(time.Hour + time.Millisecond), Audience: "tidings", Issuer: "the cli",
	})
	require.NoError(t, err)
	p := accepted(t, newVerifier(t, cfg), token)
	assert.Equal(t, authz.Principal{
		Subject: "alice", Expires: now.Add(time.Hour), Grants: must(authz.ParsePatterns([]string{"campaign:42", "settlement:*"})),
	}, p)

	bare, err := authz.Sign(secret, authz.TokenClaims{Subject: "bob", Expires: now.Add(time.Hour)})
	require.NoError(t, err)
	assert.Equal(t, "bob", accepted(t, newVerifier(t, secretConfig()), bare).Subject)
	denied(t, newVerifier(t, cfg), bare, authz.RuleIssuer)
}

func TestSign_RefusesWhatVerifyWouldRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		secret []byte
		change func(*authz.TokenClaims)
		want   error
	}{
		"no secret":       {nil, func(*authz.TokenClaims) {}, authz.ErrSecret},
		"short secret":    {secret[:31], func(*authz.TokenClaims) {}, authz.ErrSecret},
		"PEM as secret":   {publicPEM(t, rsaKey()), func(*authz.TokenClaims) {}, authz.ErrSecret},
		"no subject":      {secret, func(c *authz.TokenClaims) { c.Subject = "" }, authz.ErrClaims},
		"control":         {secret, func(c *authz.TokenClaims) { c.Subject = "a\tb" }, authz.ErrClaims},
		"invalid UTF-8":   {secret, func(c *authz.TokenClaims) { c.Subject = "a\xff" }, authz.ErrClaims},
		"long subject":    {secret, func(c *authz.TokenClaims) { c.Subject = strings.Repeat("a", 257) }, authz.ErrClaims},
		"bad room":        {secret, func(c *authz.TokenClaims) { c.Rooms = []string{"campaign"} }, authz.ErrPattern},
		"too many rooms":  {secret, func(c *authz.TokenClaims) { c.Rooms = strings.Split(strings.Repeat("a:1,", 512)+"a:1", ",") }, authz.ErrClaims},
		"too long":        {secret, func(c *authz.TokenClaims) { c.Rooms = strings.Fields(strings.Repeat("campaign:42424242 ", 400)) }, authz.ErrClaims},
		"no expiry":       {secret, func(c *authz.TokenClaims) { c.Expires = time.Time{} }, authz.ErrClaims},
		"expiry too late": {secret, func(c *authz.TokenClaims) { c.Expires = time.Unix(253402300800, 0) }, authz.ErrClaims},
	} {
		t.Run(name, func(t *testing.T) {
			claims := authz.TokenClaims{Subject: "alice", Expires: now.Add(time.Hour)}
			c.change(&claims)
			token, err := authz.Sign(c.secret, claims)
			require.ErrorIs(t, err, c.want)
			assert.Empty(t, token)
		})
	}
}
