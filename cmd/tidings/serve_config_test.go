package main

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge"
	"github.com/tidingsmesh/tidings/mesh"
)

func TestServeConfig_DefaultsAreThoseOfThePackages(t *testing.T) {
	parser, err := newParser(&grammar{}, nil, nil)
	require.NoError(t, err)
	kctx, err := parser.Parse([]string{"serve", "--jwt-secret", testSecret})
	require.NoError(t, err)
	serve, ok := reflect.TypeAssert[*serveCmd](kctx.Selected().Target.Addr())
	require.True(t, ok)
	want := authz.DefaultConfig()
	want.Secret = []byte(testSecret)
	assert.Equal(t, want, serve.tokens())
	assert.Equal(t, mesh.DefaultStreamConfig(), serve.stream())
	assert.Equal(t, edge.DefaultConfig(), serve.edge())
}

// TestServeConfig_EveryLimitReachesTheEdge doubles or halves every limit by its flag and looks for one that stayed.
func TestServeConfig_EveryLimitReachesTheEdge(t *testing.T) {
	got := run(t, nil, append([]string{"config", "check", "--dev"}, otherLimits...)...)
	require.Equal(t, statusOK, got.status, got.stderr)

	parser, err := newParser(&grammar{}, nil, nil)
	require.NoError(t, err)
	kctx, err := parser.Parse(append([]string{"serve", "--dev"}, otherLimits...))
	require.NoError(t, err)
	serve, ok := reflect.TypeAssert[*serveCmd](kctx.Selected().Target.Addr())
	require.True(t, ok)
	limits, defaults := reflect.ValueOf(serve.edge().Limits), reflect.ValueOf(edge.DefaultLimits())
	for i := range limits.NumField() {
		assert.NotEqual(t, defaults.Field(i).Interface(), limits.Field(i).Interface(), "no flag sets edge.Limits.%s", limits.Type().Field(i).Name)
	}
}

func TestServeConfig_DeflateReachesTheEdge(t *testing.T) {
	got := run(t, nil, "config", "check", "--dev", "--deflate-from=512B")
	require.Equal(t, statusOK, got.status, got.stderr)
	assert.Equal(t, 512, (&ServeConfig{DeflateFrom: 512}).edge().DeflateFrom)

	got = run(t, nil, "config", "check", "--dev", "--deflate-from=9MiB")
	assert.NotEqual(t, statusOK, got.status)
	assert.Contains(t, got.stderr, "deflate-from")
}

var otherLimits = []string{
	"--max-message=32KiB", "--max-token=4KiB", "--max-handshake=16KiB", "--max-headers=128", "--handshake-timeout=10s", "--hello-timeout=10s",
	"--max-rooms=256", "--join-rate=200", "--join-burst=1000", "--max-per-user=64", "--max-per-address=2000", "--client-buffer=512KiB",
	"--total-buffer=512MiB", "--slow-timeout=1m", "--ping=50s", "--pong-timeout=20s",
}

func TestServeConfig_PollsAreAnsweredUnlessSwitchedOff(t *testing.T) {
	assert.Equal(t, "/poll", (&ServeConfig{Poll: true}).edge().PollPath)
	assert.Empty(t, (&ServeConfig{}).edge().PollPath)
	got := run(t, nil, "config", "print", "--dev")
	assert.Regexp(t, `(?m)^poll: true`, got.stdout)
	got = run(t, []string{"TIDINGS_POLL=false"}, "config", "print", "--dev")
	assert.Regexp(t, `(?m)^poll: false`, got.stdout)
	got = run(t, nil, "config", "print", "--dev", "--poll=false")
	assert.Regexp(t, `(?m)^poll: false`, got.stdout)
}
