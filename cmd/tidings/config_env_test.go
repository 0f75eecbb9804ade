package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEnvironment_WrongVariablesAreNamedAllAtOnce(t *testing.T) {
	got := run(t, []string{"TIDINGS_HTPP=:1", "TIDINGS_JWTSECRET=x", "TIDINGS_ZZZZZZZZZZ=1", "TIDINGS_HELP=1", "PATH=/bin"}, "config", "print")
	assert.Equal(t, statusUsage, got.status)
	assert.Empty(t, got.stdout)
	assert.Contains(t, got.stderr, `unknown environment variable "TIDINGS_HTPP"; did you mean TIDINGS_HTTP?`)
	assert.Contains(t, got.stderr, `unknown environment variable "TIDINGS_JWTSECRET"; did you mean TIDINGS_JWT_SECRET?`)
	assert.Contains(t, got.stderr, `unknown environment variable "TIDINGS_ZZZZZZZZZZ"`+"\n")
	assert.Contains(t, got.stderr, `unknown environment variable "TIDINGS_HELP"`)
}

func TestEnvironment_WrongValuesNameTheirVariable(t *testing.T) {
	for entry, want := range map[string]string{
		"TIDINGS_PING=25":         `TIDINGS_PING: "25" is no duration`,
		"TIDINGS_PING=":           `TIDINGS_PING: "" is no duration`,
		"TIDINGS_MAX_ROOMS=0x10":  `TIDINGS_MAX_ROOMS: "0x10" is no whole number`,
		"TIDINGS_MAX_MESSAGE=-1":  `TIDINGS_MAX_MESSAGE: "-1" is no size`,
		"TIDINGS_DEV=maybe":       `TIDINGS_DEV: bool value must be`,
		"TIDINGS_TRANSPORT=fast":  `TIDINGS_TRANSPORT: "fast" is none of auto, epoll, portable`,
		"TIDINGS_MAX_PER_USER=0":  `TIDINGS_MAX_PER_USER: 0 is below the least, 1`,
		"TIDINGS_ORIGIN=https://": `TIDINGS_ORIGIN: "https://" is no origin`,
	} {
		got := run(t, []string{entry, "TIDINGS_JWT_SECRET=" + testSecret}, "config", "check")
		assert.Equal(t, statusUsage, got.status, entry)
		assert.Contains(t, got.stderr, "tidings config check: "+want, entry)
	}
}

func TestEnvironment_KubernetesServiceVariablesAreNoSettings(t *testing.T) {
	injected := []string{
		"TIDINGS_SERVICE_HOST=10.0.0.7", "TIDINGS_SERVICE_PORT=8080", "TIDINGS_SERVICE_PORT_HTTP=8080", "TIDINGS_PORT=tcp://10.0.0.7:8080",
		"TIDINGS_PORT_8080_TCP=tcp://10.0.0.7:8080", "TIDINGS_PORT_8080_TCP_PROTO=tcp", "TIDINGS_PORT_8080_TCP_PORT=8080",
		"TIDINGS_PORT_8080_TCP_ADDR=10.0.0.7", "TIDINGS_ADMIN_SERVICE_HOST=10.0.0.8", "TIDINGS_ADMIN_PORT_9090_TCP=tcp://10.0.0.8:9090",
	}
	got := run(t, append(injected, "TIDINGS_JWT_SECRET="+testSecret), "config", "check")
	assert.Equal(t, statusOK, got.status, got.stderr)

	parser, err := newParser(&grammar{}, nil, nil)
	require.NoError(t, err)
	for flag := range allFlags(parser.Model.Node) {
		assert.NotRegexp(t, serviceVariable, envName(flag), "a flag of this name could not be told from Kubernetes' own variables")
	}
}

func TestEnvironment_ListsAreSeparatedByCommas(t *testing.T) {
	got := run(t, []string{`TIDINGS_PUBLIC=broadcast:*,odd:a\,b`, "TIDINGS_ORIGIN="}, "config", "print")
	assert.Contains(t, got.stdout, "# from TIDINGS_PUBLIC\npublic:\n  - broadcast:*\n  - odd:a,b\n")
	assert.Contains(t, got.stdout, "origin: [] # from TIDINGS_ORIGIN\n")
}
