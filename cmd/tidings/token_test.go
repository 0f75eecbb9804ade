package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/subjects"
)

func TestToken_IsAcceptedByAServerWithTheSameSettings(t *testing.T) {
	path := writeConfig(t, "jwt-secret: "+testSecret+"\naudience: app\n")
	got := run(t, []string{"TIDINGS_ISSUER=tests"}, "token", "--config", path, "--sub", "alice", "--room", "campaign:42", "--room", "settlement:*", "--ttl", "90m")
	require.Equal(t, statusOK, got.status, got.stderr)
	require.Regexp(t, `^[\w-]+\.[\w-]+\.[\w-]+\n$`, got.stdout)

	server := ServeConfig{JWTSecret: testSecret, Audience: "app", Issuer: "tests", Leeway: time.Second}
	verifier, err := authz.NewVerifier(server.tokens(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	token := strings.TrimSpace(got.stdout)
	principal, err := verifier.Verify(t.Context(), token, time.Now())
	require.NoError(t, err)
	assert.Equal(t, "alice", principal.Subject)
	assert.WithinDuration(t, time.Now().Add(90*time.Minute), principal.Expires, time.Minute)
	for room, want := range map[subjects.Room]bool{
		{Kind: "campaign", ID: "42"}:  true,
		{Kind: "campaign", ID: "43"}:  false,
		{Kind: "settlement", ID: "7"}: true,
	} {
		assert.Equal(t, want, authz.Rules{}.MayJoin(principal, room).Allowed, room)
	}
	_, err = verifier.Verify(t.Context(), token, time.Now().Add(91*time.Minute))
	assert.Error(t, err, "it must expire")
}

func TestToken_RefusesWhatNoServerWouldAccept(t *testing.T) {
	for name, c := range map[string]struct {
		secret string
		args   []string
		want   string
	}{
		"no secret":       {"", nil, "no secret to sign with: give --jwt-secret or TIDINGS_JWT_SECRET"},
		"short secret":    {"hunter2", nil, "unusable shared secret"},
		"nonsense room":   {testSecret, []string{"--room", "campaign"}, "invalid room pattern"},
		"no time to live": {testSecret, []string{"--ttl", "0s"}, "--ttl: 0s is below the least, 1s"},
		"empty subject":   {testSecret, []string{"--sub", ""}, "invalid claims"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, []string{"TIDINGS_JWT_SECRET=" + c.secret}, append([]string{"token", "--sub", "alice"}, c.args...)...)
			assert.Equal(t, statusUsage, got.status)
			assert.Empty(t, got.stdout)
			assert.Contains(t, got.stderr, c.want)
			assert.NotContains(t, got.stderr, "hunter2")
		})
	}
}
