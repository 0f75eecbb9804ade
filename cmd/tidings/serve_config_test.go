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
	assert.Equal(t, want, serve.authz())
	assert.Equal(t, mesh.DefaultStreamConfig(), serve.stream())
	assert.Equal(t, edge.DefaultConfig(), serve.edge())
}
