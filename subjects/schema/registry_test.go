package schema_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/subjects"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

// folder is a new folder with files.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func load(t *testing.T, files map[string]string) *schema.Registry {
	t.Helper()
	r, err := schema.Load(folder(t, files))
	require.NoError(t, err)
	return r
}

func event(eventType, data string) subjects.Event {
	e := subjects.Event{ID: "1", Source: "/s", Type: eventType}
	if data != "" {
		e.Data = json.RawMessage(data)
	}
	return e
}

func assertViolation(t *testing.T, err error, detail string) {
	t.Helper()
	var bad *subjects.InvalidEventError
	require.ErrorAs(t, err, &bad)
	assert.Equal(t, subjects.ReasonSchema, bad.Reason)
	assert.Contains(t, bad.Detail, detail)
	assert.LessOrEqual(t, len(bad.Detail), 256)
}

func TestCheck_AcceptsWhatTheGoTypesSay(t *testing.T) {
	r, err := schema.Load("")
	require.NoError(t, err)
	now := time.Now()
	for _, data := range []subjects.Typed{
		subjects.EntityUpdated{EntityType: "Campaign", ID: "1"},
		subjects.EntityUpdated{EntityType: "Campaign", ID: "1", Version: 1<<53 - 1, Changes: map[string]any{"a": nil, "b": []int{1}}},
		subjects.StateInvalidated{},
		subjects.StateInvalidated{
			Entities: []subjects.EntityRef{{EntityType: "Party"}, {EntityType: "Party", ID: "2"}},
			Queries:  []string{"CampaignOverview"}, Reason: "rules changed",
		},
		subjects.WorldTimeChanged{WorldTime: now},
		subjects.WorldTimeChanged{WorldTime: now, Rate: -1.5, At: now, PreviousWorldTime: now.In(time.FixedZone("x", 3600))},
		subjects.SettlementUpdated{ID: "1", CampaignID: "2", Version: 3, Changes: map[string]any{}},
		subjects.StructureUpdated{ID: "1", SettlementID: "2", Version: 3, Changes: map[string]any{"hp": 4}},
	} {
		e, err := subjects.NewEvent(data)
		require.NoError(t, err)
		assert.NoError(t, r.Check(e), string(e.Data))
	}
}

func TestCheck_NamesTheViolationAndItsPlace(t *testing.T) {
	r, err := schema.Load("")
	require.NoError(t, err)
	for _, tt := range []struct{ name, eventType, data, detail string }{
		{"no data", "settlement_updated", ``, "settlement_updated: at data: got null, want object"},
		{"null", "settlement_updated", `null`, "at data: got null, want object"},
		{"an array", "settlement_updated", `[]`, "at data: got array, want object"},
		{"a missing field", "settlement_updated", `{}`, "at data: missing property 'id'"},
		{"two missing fields", "entity_updated", `{"x":1}`, "at data: missing properties 'entityType', 'id'"},
		{"an empty id", "structure_updated", `{"id":""}`, "at data/id: minLength: got 0, want 1"},
		{"a numeric id", "structure_updated", `{"id":7}`, "at data/id: got number, want string"},
		{"a negative version", "structure_updated", `{"id":"7","version":-1}`, "at data/version: minimum"},
		{"a version JavaScript cannot hold", "structure_updated", `{"id":"7","version":9007199254740992}`, "at data/version: maximum"},
		{"a number without end", "structure_updated", `{"id":"7","version":1e999}`, "at data/version: maximum"},
		{"a fraction", "structure_updated", `{"id":"7","version":1.5}`, "at data/version: got number, want integer"},
		{"changes that are a list", "entity_updated", `{"entityType":"a","id":"7","changes":[]}`, "at data/changes: got array, want object"},
		{"a list that is null", "state_invalidated", `{"queries":null}`, "at data/queries: got null, want array"},
		{"deep inside", "state_invalidated", `{"entities":[{"entityType":"a"},{"id":"7"}]}`, "at data/entities/1: missing property 'entityType'"},
		{"a time that is none", "world_time_changed", `{"worldTime":"yesterday"}`, `at data/worldTime: "yesterday" is no date-time`},
		{"several", "state_invalidated", `{"queries":7,"entities":7,"reason":7}`, "at data/entities: got number, want array (and 2 more)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := r.Check(event(tt.eventType, tt.data))
			assertViolation(t, first, tt.detail)
			for range 20 {
				require.Equal(t, first, r.Check(event(tt.eventType, tt.data)), "always the same violation")
			}
		})
	}
	binary := event("settlement_updated", "")
	binary.DataBase64 = "AA=="
	assertViolation(t, r.Check(binary), "got binary")
	assertViolation(t, r.Check(event("settlement_updated", `{`)), "settlement_updated: at data: unexpected EOF")
}

func TestCheck_IsForwardCompatible(t *testing.T) {
	r, err := schema.Load("")
	require.NoError(t, err)
	assert.NoError(t, r.Check(event("settlement_updated", `{"id":"7","added":{"later":true}}`)))
	assert.NoError(t, r.Check(event("state_invalidated", `{"entities":[{"entityType":"a","added":1}]}`)))
	assert.NoError(t, r.Check(event("unheard_of", `[]`)))
	assert.NoError(t, r.Check(event("unheard_of", ``)))
	assert.NoError(t, r.Check(event("Settlement_Updated", `[]`)), "types are compared exactly")
}

func TestCheck_IsSafeForConcurrentUse(t *testing.T) {
	r, err := schema.Load("")
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				good, bad := event("settlement_updated", `{"id":"7"}`), event("state_invalidated", `{"queries":7,"entities":7}`)
				if r.Check(good) != nil || r.Check(bad) == nil {
					t.Error("another answer than alone")
				}
			}
		})
	}
	wg.Wait()
}

func TestCheck_DetailsHaveALimit(t *testing.T) {
	long := strings.Repeat("é", 500)
	r := load(t, map[string]string{"x.json": `{"additionalProperties":false}`})
	assertViolation(t, r.Check(event("x", `{"`+long+`":1}`)), "…")
}

func TestLoad_AddsTheApplicationsSchemas(t *testing.T) {
	r := load(t, map[string]string{
		"dice_rolled.json":      `{"type":"object","properties":{"dice":{"$ref":"com.example.dice.json#/$defs/dice"},"then":{"$ref":"entity_updated.json"}}}`,
		"com.example.dice.json": `{"$defs":{"dice":{"$anchor":"d","type":"array","items":{"type":"integer","maximum":6}}},"$ref":"#d"}`,
		"with id.json":          `{"$id":"https://example.com/schemas/with-id.json","type":"number"}`,
		"by_id.json":            `{"$id":"https://example.com/schemas/by-id.json","$ref":"with-id.json"}`,
		"nothing.json":          `{"type":"null"}`,
		"never.json":            `false`,
		"draft7.json":           `{"$schema":"http://json-schema.org/draft-07/schema#","type":"array","items":[{"type":"string"}]}`,
		"mail.json":             `{"format":"email"}`,
		".hidden.json":          `{`,
		"README.md":             `not a schema`,
	})
	own := []string{"by_id", "com.example.dice", "dice_rolled", "draft7", "mail", "never", "nothing", "with id"}
	assert.Subset(t, r.Types(), own)
	assert.Len(t, r.Types(), len(own)+len(subjects.Catalogue()))
	assert.True(t, slices.IsSorted(r.Types()))

	for _, e := range []subjects.Event{
		event("dice_rolled", `{"dice":[1,6],"then":{"entityType":"a","id":"b"}}`), event("com.example.dice", `[6]`),
		event("with id", `1`), event("by_id", `1`), event("nothing", ``), event("draft7", `["x",1]`), event("mail", `"a@example.com"`),
	} {
		require.NoError(t, r.Check(e), e.Type)
	}
	assertViolation(t, r.Check(event("dice_rolled", `{"dice":[1,7]}`)), "at data/dice/1: maximum: got 7, want 6")
	assertViolation(t, r.Check(event("dice_rolled", `{"then":{}}`)), "at data/then: missing properties")
	assertViolation(t, r.Check(event("by_id", `"x"`)), "got string, want number")
	assertViolation(t, r.Check(event("never", `1`)), "never: at data: ")
	assertViolation(t, r.Check(event("draft7", `[1]`)), "at data/0")
	assertViolation(t, r.Check(event("mail", `"x"`)), "is no email")
}

func TestLoad_RefusesAndNamesFileAndPlace(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		says  []string
	}{
		{"broken JSON", map[string]string{"a.json": "{\n  \"type\": \"object\",\n  oops\n}"}, []string{"a.json", "line 3, column 3", "invalid character 'o'"}},
		{"JSON cut short", map[string]string{"a.json": `{"type":`}, []string{"a.json", "line 1, column 8", "unexpected end"}},
		{"an empty file", map[string]string{"a.json": ``}, []string{"a.json", "line 1, column 1", "unexpected end"}},
		{"two values", map[string]string{"a.json": `{} {}`}, []string{"a.json", "line 1, column 4"}},
		{"not UTF-8", map[string]string{"a.json": "{\"title\":\"\xff\"}"}, []string{"a.json", "UTF-8"}},
		{"too large", map[string]string{"a.json": `"` + strings.Repeat("x", 1<<20) + `"`}, []string{"a.json", "limit is 1048576"}},
		{"a bad name", map[string]string{strings.Repeat("a", 250) + ".json": `{}`, "\x01.json": `{}`}, []string{"the name is no event type", "control character"}},

		{"no schema", map[string]string{"a.json": `7`}, []string{"a.json", "not a valid schema", "at the top"}},
		{"an unknown type", map[string]string{"a.json": `{"properties":{"x":{"type":"strin"}}}`}, []string{"a.json", "not a valid schema", "at /properties/x/type"}},
		{"a bad keyword", map[string]string{"a.json": `{"minLength":-1}`}, []string{"a.json", "at /minLength"}},
		{"a bad pattern", map[string]string{"a.json": `{"pattern":"("}`}, []string{"a.json", "at /pattern"}},
		{"an unknown draft", map[string]string{"a.json": `{"$schema":"https://example.com/draft"}`}, []string{"a.json", "can refer only to"}},
		{"a neighbour that is no schema", map[string]string{"a.json": `{"$ref":"b.json"}`, "b.json": `{"type":7}`}, []string{"schema b.json", "at /type"}},

		{"a missing file", map[string]string{"a.json": `{"$ref":"b.json"}`}, []string{"schema a.json", `"b.json"`, "can refer only to"}},
		{"a missing definition", map[string]string{"a.json": `{"$ref":"#/$defs/x"}`}, []string{"a.json", "/$defs/x", "not found"}},
		{"a missing anchor", map[string]string{"a.json": `{"$ref":"#x"}`}, []string{"a.json", "#x", "not found"}},
		{"the network", map[string]string{"a.json": `{"$ref":"https://example.com/x.json"}`}, []string{"a.json", "https://example.com/x.json", "can refer only to"}},
		{"a file by its URL", map[string]string{"a.json": `{"$ref":"file:///etc/passwd"}`}, []string{"a.json", "file:///etc/passwd", "can refer only to"}},
		{"a file by its path", map[string]string{"a.json": `{"$ref":"/etc/passwd"}`}, []string{"a.json", "can refer only to"}},
		{"the folder above", map[string]string{"a.json": `{"$ref":"../b.json"}`, "b.json": `{}`}, []string{"a.json", "can refer only to"}},
		{"a sibling of its id", map[string]string{"a.json": `{"$id":"https://example.com/a.json","$ref":"b.json"}`, "b.json": `{}`}, []string{"a.json", "https://example.com/b.json"}},

		{"a type of the catalogue", map[string]string{"settlement_updated.json": `{}`}, []string{"settlement_updated.json", "catalogue", "cannot be redefined"}},
		{"an id taken", map[string]string{"a.json": `{"$id":"https://example.com/x"}`, "b.json": `{"$id":"https://example.com/x"}`}, []string{"b.json", "/$id", "is taken"}},
		{"the id of a catalogue file", map[string]string{"a.json": `{"$id":"tidings:///schemas/settlement_updated.json"}`}, []string{"a.json", "is taken"}},
		{"the id of a draft", map[string]string{"a.json": `{"$id":"https://json-schema.org/draft/2020-12/schema"}`}, []string{"a.json", "is taken"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := schema.Load(folder(t, tt.files))
			require.Error(t, err)
			for _, says := range tt.says {
				require.ErrorContains(t, err, says)
			}
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestLoad_RefusesFoldersThatAreNone(t *testing.T) {
	_, err := schema.Load(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = schema.Load(filepath.Join(folder(t, map[string]string{"x": ""}), "x"))
	assert.ErrorContains(t, err, "schema folder")
}

func TestLoad_StaysInsideTheFolder(t *testing.T) {
	outside := folder(t, map[string]string{"secret.json": `{"type":"number"}`})

	t.Run("a link that leads out is refused", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.Symlink(filepath.Join(outside, "secret.json"), filepath.Join(dir, "a.json")))
		_, err := schema.Load(dir)
		assert.ErrorContains(t, err, "schema a.json")
	})
	t.Run("a link inside is followed, as in a mounted ConfigMap", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "..data"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "..data", "a.json"), []byte(`{"type":"number"}`), 0o600))
		require.NoError(t, os.Symlink(filepath.Join("..data", "a.json"), filepath.Join(dir, "a.json")))
		r, err := schema.Load(dir)
		require.NoError(t, err)
		assert.Error(t, r.Check(event("a", `"x"`)))
	})
	t.Run("subfolders are left alone, even with the name of a schema", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "a.json"), 0o700))
		_, err := schema.Load(dir)
		assert.NoError(t, err)
	})
	t.Run("a link to a folder is no schema", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.Symlink(".", filepath.Join(dir, "a.json")))
		_, err := schema.Load(dir)
		assert.ErrorContains(t, err, "not a regular file")
	})
}

func BenchmarkCheck(b *testing.B) {
	r, err := schema.Load("")
	require.NoError(b, err)
	for name, e := range map[string]subjects.Event{
		"settlement_updated": event("settlement_updated", `{"id":"7","version":12,"changes":{"level":4,"name":"Ravenna"}}`),
		"unknown":            event("unknown", `{"id":"7"}`),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Check(e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
