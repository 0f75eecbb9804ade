package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEventsGen_WritesTheTypesOfTheCatalogue(t *testing.T) {
	got := run(t, nil, "events", "gen", "--ts", "-")
	require.Equal(t, statusOK, got.status, got.stderr)
	assert.Contains(t, got.stdout, "\n  settlement_updated: SettlementUpdated;\n")
}

func TestEventsGen_WritesAnApplicationsOwnTypes(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "founded.json"), []byte(`{"type": "object", "properties": {"id": {"type": "string"}}}`), 0o600))
	file := filepath.Join(dir, "events.ts")
	got := run(t, nil, "events", "gen", "--schemas", dir, "--ts", file)
	require.Equal(t, statusOK, got.status, got.stderr)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(text), "declare module \"@tidings/client\" {\n  export interface EventMap {\n    founded: Founded;\n")
	assert.NotContains(t, string(text), "SettlementUpdated")
}

func TestEventsGen_NamesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "founded.json"), []byte(`{"type": 7}`), 0o600))
	got := run(t, nil, "events", "gen", "--schemas", dir, "--ts", "-")
	assert.Equal(t, statusFailed, got.status)
	assert.Contains(t, got.stderr, "founded.json")
	got = run(t, nil, "events", "gen", "--ts", filepath.Join(dir, "missing", "events.ts"))
	assert.Equal(t, statusFailed, got.status)
	assert.Contains(t, got.stderr, "no such file or directory")
}
