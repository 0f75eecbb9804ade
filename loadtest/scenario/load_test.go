package scenario_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/scenario"
	"github.com/tidingsmesh/tidings/subjects"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

func TestLoad_BundledScenariosAreValidAndExplained(t *testing.T) {
	assert.Equal(t, []string{"burst", "burst-wide", "churn", "idle", "mix", "narrow", "slow", "soak", "storm", "wide"}, scenario.Bundled())
	for _, name := range scenario.Bundled() {
		s, err := scenario.Load(name)
		require.NoError(t, err, name)
		assert.Equal(t, name, s.Name)
		assert.NotEmpty(t, s.Description, name)
		assert.NoError(t, s.Validate(), name)
		text, err := scenario.Source(name)
		require.NoError(t, err, name)
		assert.True(t, strings.HasPrefix(string(text), "# "), "%s opens with what it is for", name)
	}
	_, err := scenario.Source("wied")
	assert.ErrorContains(t, err, "did you mean wide?")
}

func TestLoad_ReadsEveryKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "guild.yaml")
	require.NoError(t, os.WriteFile(path, []byte(`
description: no # a text, not a bool
clients: 30
groups:
  - kind: guild
    rooms: 3
    per-client: 2
    rate: 1.5
    burst: 4
    size: 1KiB
    events:
      - {type: chat, weight: 3, fields: {id: "{id}", deep: {list: [1, true]}}}
      - {type: away}
  - kind: lobby
    rooms: 1
connect-rate: 10
warmup: 0s
duration: 1m30s
churn: 2
slow: {share: 10%, bytes-per-second: 2KiB}
reconnect: true
fault: {kind: restart, down: 2s}
repeat: 5
`), 0o600))
	s, err := scenario.Load(path)
	require.NoError(t, err)
	assert.Equal(t, &scenario.Scenario{
		Name: "guild", Description: "no", Clients: 30,
		Groups: []scenario.Group{
			{
				Kind: "guild", Rooms: 3, PerClient: 2, Rate: 1.5, Burst: 4, Size: 1024,
				Events: []scenario.Event{
					{Type: "chat", Weight: 3, Fields: map[string]any{"id": "{id}", "deep": map[string]any{"list": []any{1, true}}}},
					{Type: "away", Weight: 1},
				},
			},
			{Kind: "lobby", Rooms: 1, PerClient: 1, Burst: 1, Size: 200, Events: []scenario.Event{{Type: "loadtest", Weight: 1}}},
		},
		ConnectRate: 10, Duration: 90 * time.Second, Churn: 2,
		Slow: &scenario.Slow{Share: 0.1, BytesPerSecond: 2048}, Reconnect: true,
		Fault:  &scenario.Fault{Kind: scenario.Restart, After: 30 * time.Second, Down: 2 * time.Second},
		Repeat: 5,
	}, s)
}

// group is a file with one group that the line belongs to.
func group(line string) string {
	return "clients: 10\ngroups:\n  - kind: a\n    rooms: 5\n    " + line + "\n"
}

// whole is a file that is complete but for the line.
func whole(line string) string { return group("rate: 1") + line + "\n" }

func TestRead_WrongFilesAreNamedWithTheirLine(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":           {whole("conect-rate: 1"), `x.yaml:6: unknown key "conect-rate"; did you mean connect-rate?`},
		"unknown key, inside":   {group("per_client: 1"), `x.yaml:5: unknown key "groups[0].per_client"; did you mean groups[0].per-client?`},
		"nothing near":          {whole("frobnicate: 1"), `x.yaml:6: unknown key "frobnicate"`},
		"merge key":             {whole("<<: {clients: 3}"), `x.yaml:6: unknown key "<<"`},
		"key that is a list":    {whole("[a]: 3"), `x.yaml:6: unknown key ""`},
		"twice":                 {whole("clients: 11"), `x.yaml:6: clients: given before, at line 1`},
		"no value":              {whole("churn:"), `x.yaml:6: churn: has no value; leave the line out to keep the default`},
		"no whole number":       {group("burst: 1.5"), `x.yaml:5: groups[0].burst: "1.5" is no whole number`},
		"no number":             {group("rate: .inf"), `x.yaml:5: groups[0].rate: ".inf" is no number`},
		"no duration":           {whole("duration: 30"), `x.yaml:6: duration: "30" is no duration; write 500ms, 30s or 2h`},
		"no size":               {group("size: 1kB"), `x.yaml:5: groups[0].size: "1kB" is no size`},
		"no share":              {whole("slow: {share: many, bytes-per-second: 1}"), `x.yaml:6: slow.share: "many" is no share; write 5% or 0.05`},
		"no bool":               {whole("reconnect: yes"), `x.yaml:6: reconnect: "yes" is neither true nor false`},
		"list for one":          {whole("name: [a]"), `x.yaml:6: name: expected one value`},
		"one for a list":        {"clients: 1\ngroups: 7\n", `x.yaml:2: groups: expected a list`},
		"mapping for a list":    {"clients: 1\ngroups: {kind: a}\n", `x.yaml:2: groups: expected a list`},
		"text for a mapping":    {"clients: 1\ngroups: [a]\n", `x.yaml:2: groups[0]: expected lines of the form key: value`},
		"anchor":                {whole("slow: &s {share: 5%, bytes-per-second: 1}"), `x.yaml:6: slow: anchors and aliases are not read`},
		"alias":                 {group("events: [{type: t, fields: {a: &x [1], b: *x}}]"), `x.yaml:5: groups[0].events[0].fields: aliases are not read`},
		"no mapping":            {"- clients\n", `x.yaml:1: expected lines of the form key: value`},
		"empty":                 {"# nothing\n", `x.yaml:1: clients: 0 is not within 1 and`},
		"no YAML":               {"clients: [\n", `x.yaml: yaml: line`},
		"two documents":         {whole("---\nclients: 3"), `x.yaml: holds more than one YAML document`},
		"name":                  {whole("name: a b"), `x.yaml:6: name: "a b" is no name`},
		"no groups":             {"clients: 1\n", `x.yaml:1: groups: there is none`},
		"empty groups":          {"clients: 1\n\ngroups: []\n", `x.yaml:3: groups: there is none`},
		"no clients":            {strings.Replace(group("rate: 1"), "10", "0", 1), `x.yaml:1: clients: 0 is not within 1 and 10000000`},
		"no kind":               {strings.Replace(group("rate: 1"), "kind: a", "per-client: 1", 1), `x.yaml:3: groups[0].kind: invalid room: the kind is empty`},
		"kind":                  {strings.Replace(group("rate: 1"), "kind: a", "kind: A", 1), `x.yaml:3: groups[0].kind: invalid room: kind "A" does not begin with a-z`},
		"more than there are":   {group("per-client: 6"), `x.yaml:5: groups[0].per-client: 6 is not within 0 and the number of rooms, 5`},
		"rate":                  {group("rate: -1"), `x.yaml:5: groups[0].rate: -1 is not within 0 and 10000000 per second`},
		"burst":                 {group("burst: 0"), `x.yaml:5: groups[0].burst: 0 is not within 1 and`},
		"too small":             {group("size: 40"), `x.yaml:5: groups[0].size: 40 bytes are too few for the mark and the fields of loadtest; the least is 52`},
		"too large":             {group("size: 9MiB"), `x.yaml:5: groups[0].size: 9437184 bytes are above the most`},
		"no events":             {group("events: []"), `x.yaml:5: groups[0].events: there is none`},
		"event type":            {group("events: [{weight: 2}]"), `x.yaml:5: groups[0].events[0].type: `},
		"weight":                {group("events: [{type: t, weight: 0}]"), `x.yaml:5: groups[0].events[0].weight: 0 is not within 1 and`},
		"the mark's name":       {group("events: [{type: t, fields: {pad: x}}]"), `x.yaml:5: groups[0].events[0].fields: "pad" is the harness's own`},
		"no JSON":               {group("events: [{type: t, fields: {a: .nan}}]"), `x.yaml:5: groups[0].events[0].fields: cannot be written as JSON`},
		"not its schema":        {group("events: [{type: settlement_updated}]"), `x.yaml:5: groups[0].events[0]: `},
		"not its schema either": {group(`events: [{type: entity_updated, fields: {entityType: Party, id: 7}}]`), `x.yaml:5: groups[0].events[0]: `},
		"duration":              {whole("duration: 10ms"), `x.yaml:6: duration: 10ms is below 1s`},
		"warmup":                {whole("warmup: -1s"), `x.yaml:6: warmup: -1s is below 0s`},
		"repeat":                {whole("repeat: 0"), `x.yaml:6: repeat: 0 is not within 1 and 1000`},
		"churn of nothing":      {strings.ReplaceAll(whole("churn: 1"), "rate: 1", "per-client: 0"), `x.yaml:6: churn: no client joins a room that it could leave`},
		"slow of none":          {whole("slow: {share: 0%, bytes-per-second: 1}"), `x.yaml:6: slow.share: 0 is not above 0%`},
		"slow without speed":    {whole("slow:\n  share: 5%"), `x.yaml:6: slow.bytes-per-second: 0 is below 1`},
		"fault":                 {whole("reconnect: true\nfault:\n  kind: kil"), `x.yaml:8: fault.kind: unknown kind "kil"; did you mean kill?; there are disconnect, kill, restart, drain`},
		"fault without return":  {whole("fault: {kind: kill}"), `x.yaml:6: fault: nobody would come back; write reconnect: true`},
		"fault after the end":   {whole("reconnect: true\nduration: 20s\nfault: {kind: kill, after: 15s, down: 5s}"), `x.yaml:8: fault: is over 20s into the window, which ends at 20s`},
		"down of a cut":         {whole("reconnect: true\nfault: {kind: disconnect, down: 5s}"), `x.yaml:7: fault.down: with disconnect nothing stays down`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := scenario.Read("x.yaml", strings.NewReader(c.text))
			require.Error(t, err)
			assert.Contains(t, err.Error(), c.want)
		})
	}
}

func TestRead_EverythingWrongIsReportedAtOnce(t *testing.T) {
	_, err := scenario.Read("x.yaml", strings.NewReader("clientz: 5\nduration: 3\ngroups:\n  - kind: a\n    rooms: ten\n"))
	assert.EqualError(t, err, `x.yaml:1: unknown key "clientz"; did you mean clients?
x.yaml:2: duration: "3" is no duration; write 500ms, 30s or 2h
x.yaml:5: groups[0].rooms: "ten" is no whole number`)
	_, err = scenario.Read("x.yaml", strings.NewReader("duration: 3ms\nclients: 0\ngroups:\n  - kind: a\n    rooms: 0\n"))
	require.Error(t, err)
	assert.Len(t, strings.Split(err.Error(), "\n"), 4) // per-client is more than the rooms, too
}

func TestLoad_WhatIsNotThereIsNamed(t *testing.T) {
	_, err := scenario.Load("wied")
	assert.EqualError(t, err, `unknown scenario "wied"; did you mean wide?; bundled are burst, burst-wide, churn, idle, mix, narrow, slow, soak, storm, wide, and a path to a file will do`)
	_, err = scenario.Load("./wide.yaml")
	assert.EqualError(t, err, "scenario: open ./wide.yaml: no such file or directory")
	dir := t.TempDir()
	_, err = scenario.Load(dir)
	assert.ErrorContains(t, err, "is a directory")
	large := filepath.Join(dir, "large.yaml")
	require.NoError(t, os.WriteFile(large, []byte(strings.Repeat("# filler\n", 120_000)), 0o600))
	_, err = scenario.Load(large)
	assert.ErrorContains(t, err, "is larger than 1048576 bytes")
}

func TestValidate_NamesFieldsAsFilesDo(t *testing.T) {
	s, err := scenario.Load("wide")
	require.NoError(t, err)
	s.Clients, s.Groups[0].Burst = 0, 0
	assert.EqualError(t, s.Validate(), "clients: 0 is not within 1 and 10000000\ngroups[0].burst: 0 is not within 1 and 10000")
}

func TestOverrides_KeepProportions(t *testing.T) {
	s, err := scenario.Load("mix")
	require.NoError(t, err)
	s.SetRate(680)
	s.SetRooms(140)
	s.SetSize(300)
	for i, want := range []struct {
		rooms int
		rate  float64
	}{{20, 400}, {40, 140}, {80, 140}} {
		assert.Equal(t, want.rooms, s.Groups[i].Rooms)
		assert.InDelta(t, want.rate, s.Groups[i].Rate, 1e-9)
		assert.Equal(t, 300, s.Groups[i].Size)
	}
	idle, err := scenario.Load("idle")
	require.NoError(t, err)
	idle.SetRate(5)
	assert.InDelta(t, 5, idle.Groups[0].Rate, 0)
}

func TestData_HasItsSizeItsMarkAndFitsItsSchema(t *testing.T) {
	catalogue, err := schema.Load("")
	require.NoError(t, err)
	for _, name := range scenario.Bundled() {
		s, err := scenario.Load(name)
		require.NoError(t, err)
		plan := s.Plan()
		data, err := s.Data(plan)
		require.NoError(t, err)
		types := map[string]int{}
		for _, room := range []int{0, len(plan.Rooms) / 3, len(plan.Rooms) - 1} {
			for n := range uint64(10) {
				text := data.Append([]byte("before"), room, n+1, time.Unix(0, 1_700_000_000_123_456_789))
				require.Equal(t, "before", string(text[:6]))
				text = text[6:]
				require.Len(t, text, s.Groups[plan.Groups[room]].Size, "%s: %s", name, text)
				require.True(t, strings.HasPrefix(string(text), `{"lt":"`), "%s", text)
				require.Contains(t, string(text), ".1700000000123456789\",")
				eventType := data.EventType(room, n+1)
				types[eventType]++
				require.True(t, json.Valid(text), "%s", text)
				assert.NoError(t, catalogue.Check(subjects.Event{ID: "-", Source: "-", Type: eventType, Data: text}))
				assert.NotContains(t, string(text), "{id}")
			}
		}
		if name == "mix" {
			assert.Equal(t, map[string]int{"entity_updated": 7, "state_invalidated": 2, "world_time_changed": 1, "settlement_updated": 10, "structure_updated": 10}, types)
		}
	}
}

func TestData_AppendAllocatesNothing(t *testing.T) {
	s, err := scenario.Load("mix")
	require.NoError(t, err)
	data, err := s.Data(s.Plan())
	require.NoError(t, err)
	dst := make([]byte, 0, 512)
	assert.Zero(t, testing.AllocsPerRun(100, func() { dst = data.Append(dst[:0], 3, 9, time.Time{}) }))
}

func FuzzRead(f *testing.F) {
	for _, name := range scenario.Bundled() {
		text, err := scenario.Source(name)
		require.NoError(f, err)
		f.Add(string(text))
	}
	for _, text := range []string{"", "a: &a [*a]", "groups: [{events: [{fields: {a: {1: 2}}}]}]", "? [x]\n: y", "clients: 99999999999999999999", "{{", "\xff", whole("slow: {}"), group("events: [{type: t, fields: {2001-01-01: !!binary aGk=}}]")} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scenario.Read("x.yaml", strings.NewReader(text))
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "x.yaml") && !strings.HasPrefix(line, "  line") { // the second is YAML's own list
					t.Fatalf("a problem without its place: %q", line)
				}
			}
			return
		}
		if err := s.Validate(); err != nil {
			t.Fatalf("read, but not valid: %v", err)
		}
		if s.Clients > 1000 || len(s.Groups) > 10 || s.Groups[0].Rooms > 1000 {
			return
		}
		s.Groups = s.Groups[:1]
		plan := s.Plan()
		data, err := s.Data(plan)
		if err != nil {
			t.Fatalf("read, but without data: %v", err)
		}
		if text := data.Append(nil, 0, 1, time.Now()); !json.Valid(text) || len(text) != s.Groups[0].Size {
			t.Fatalf("data of %d bytes instead of %d: %s", len(text), s.Groups[0].Size, text)
		}
	})
}
