package subjects_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/subjects"
)

func TestEvent_JSONRoundTrip(t *testing.T) {
	var e subjects.Event
	require.NoError(t, json.Unmarshal([]byte(full), &e))
	text, err := json.Marshal(e)
	require.NoError(t, err)
	assertText(t, full, string(text))

	require.NoError(t, json.Unmarshal([]byte(`{"type":"x"}`), &e))
	assert.Equal(t, subjects.Event{Type: "x"}, e, "nothing is filled in and nothing is left over")
	_, err = json.Marshal(e)
	assert.ErrorContains(t, err, "id is empty")
}

func TestEvent_AppendJSONIsAlwaysJSON(t *testing.T) {
	for name, e := range map[string]subjects.Event{
		"the zero event":  {},
		"broken UTF-8":    {ID: "\xff", Source: "a\xc3", Type: "\xed\xa0\x80", Subject: "é\xff", DataContentType: "\x80", DataSchema: "\xfe"},
		"controls":        {ID: "\x00\x1f\n\r\t\"\\\x7f\u0085\u2028"},
		"broken data":     {Data: json.RawMessage(`{"a":`)},
		"no data at all":  {Data: json.RawMessage{}},
		"data not UTF-8":  {Data: json.RawMessage("\"\xff\"")},
		"data too deep":   {Data: json.RawMessage(nested(subjects.MaxDepth + 1))},
		"data of lines":   {Data: json.RawMessage("{\n\t\"a\": \"b c\"\r\n}")},
		"data and base64": {Data: json.RawMessage(`1`), DataBase64: "\xff"},
		"broken base64":   {DataBase64: "\xff\n"},
		"far years":       {Time: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"early years":     {Time: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)},
		"extensions": {Extensions: map[string]json.RawMessage{
			"id": json.RawMessage(`"x"`), "data": json.RawMessage(`1`), "a\"b": json.RawMessage(`1`), "": nil, "empty": nil,
			"broken": json.RawMessage(`1,"type":"y"`), "object": json.RawMessage(`{}`), "null": json.RawMessage(`null`),
			"good": json.RawMessage(`true`), "bytes": json.RawMessage("\"\xff\""), "spaced": json.RawMessage(" 1\n"),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			text, found := strings.CutPrefix(string(e.AppendJSON([]byte("before "))), "before ")
			require.True(t, found)
			assert.True(t, json.Valid([]byte(text)), text)
			assert.True(t, utf8.ValidString(text), text)
			assert.NotContains(t, text, "\n")
			assert.Equal(t, text, string(e.AppendJSON(nil)), "the same event, the same bytes")
		})
	}
	e := subjects.Event{Data: json.RawMessage("{\n\t\"a\\\"\": \"b c\" }"), Extensions: map[string]json.RawMessage{"x": json.RawMessage(`{}`), "y": json.RawMessage(`1`)}}
	assertText(t, `{"specversion":"1.0","id":"","source":"","type":"","y":1,"data":{"a\"":"b c"}}`, string(e.AppendJSON(nil)))
}

func TestEvent_Validate(t *testing.T) {
	good := subjects.Event{ID: "1", Source: "/s", Type: "x"}
	require.NoError(t, good.Validate())
	for _, tt := range []struct {
		name   string
		change func(e *subjects.Event)
		reason string
	}{
		{"no type", func(e *subjects.Event) { e.Type = "" }, subjects.ReasonNoType},
		{"no id", func(e *subjects.Event) { e.ID = "" }, subjects.ReasonBadAttribute},
		{"no source", func(e *subjects.Event) { e.Source = "" }, subjects.ReasonBadAttribute},
		{"a bad source", func(e *subjects.Event) { e.Source = "a b" }, subjects.ReasonBadAttribute},
		{"broken UTF-8", func(e *subjects.Event) { e.Subject = "\xff" }, subjects.ReasonBadAttribute},
		{"a bad content type", func(e *subjects.Event) { e.DataContentType = "x" }, subjects.ReasonBadAttribute},
		{"a bad data schema", func(e *subjects.Event) { e.DataSchema = "/x" }, subjects.ReasonBadAttribute},
		{"a far year", func(e *subjects.Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, subjects.ReasonBadAttribute},
		{"a bad extension", func(e *subjects.Event) { e.Extensions = map[string]json.RawMessage{"a": nil} }, subjects.ReasonBadAttribute},
		{"a spaced extension", func(e *subjects.Event) { e.Extensions = map[string]json.RawMessage{"a": json.RawMessage("1 ")} }, subjects.ReasonBadAttribute},
		{"a broken extension", func(e *subjects.Event) { e.Extensions = map[string]json.RawMessage{"a": json.RawMessage("\"\xff\"")} }, subjects.ReasonBadUTF8},
		{"a reserved extension", func(e *subjects.Event) { e.Extensions = map[string]json.RawMessage{"id": json.RawMessage("1")} }, subjects.ReasonBadAttribute},
		{"empty data", func(e *subjects.Event) { e.Data = json.RawMessage{} }, subjects.ReasonBadData},
		{"broken data", func(e *subjects.Event) { e.Data = json.RawMessage(`{`) }, subjects.ReasonBadData},
		{"deep data", func(e *subjects.Event) { e.Data = json.RawMessage(nested(65)) }, subjects.ReasonTooDeep},
		{"both data", func(e *subjects.Event) { e.Data, e.DataBase64 = json.RawMessage(`1`), "AA==" }, subjects.ReasonBadData},
		{"bad base64", func(e *subjects.Event) { e.DataBase64 = "A" }, subjects.ReasonBadData},
		{"too many extensions", func(e *subjects.Event) {
			require.NoError(t, json.Unmarshal([]byte(`{`+manyExtensions(32)+`,"type":"x"}`), e))
			e.ID, e.Source, e.Extensions["one"] = "1", "/s", json.RawMessage(`1`)
		}, subjects.ReasonBadAttribute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := good
			tt.change(&e)
			assertReason(t, e.Validate(), tt.reason)
		})
	}
}

func TestNewEvent_MakesACompleteEvent(t *testing.T) {
	before := time.Now()
	e, err := subjects.NewEvent(subjects.SettlementUpdated{ID: "7", Version: 12, Changes: map[string]any{"name": "<Ørn>"}})
	require.NoError(t, err)
	require.NoError(t, e.Validate())
	assert.Equal(t, subjects.SettlementUpdatedType, e.Type)
	assert.Equal(t, subjects.DefaultSource, e.Source)
	assertText(t, `{"id":"7","version":12,"changes":{"name":"<Ørn>"}}`, string(e.Data))
	assert.WithinRange(t, e.Time, before.Add(-time.Second), time.Now().Add(time.Second))
	assert.Equal(t, time.UTC, e.Time.Location())

	again, err := subjects.DecodeEvent(nil, e.AppendJSON(nil), meta)
	require.NoError(t, err)
	assert.Equal(t, e, again)
}

type customData struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

func (c customData) EventType() string { return c.Name }

func TestNewEvent_TakesAnApplicationsOwnData(t *testing.T) {
	e, err := subjects.NewEvent(customData{Name: "com.example.dice", Value: 6})
	require.NoError(t, err)
	assert.Equal(t, "com.example.dice", e.Type)

	_, err = subjects.NewEvent(customData{Name: ""})
	assertReason(t, err, subjects.ReasonNoType)
	_, err = subjects.NewEvent(customData{Name: "x", Value: math.NaN()})
	assert.ErrorContains(t, err, `data of event type "x"`)
}

func TestCatalogue_TypesAreDistinct(t *testing.T) {
	var types []string
	for _, typed := range subjects.Catalogue() {
		types = append(types, typed.EventType())
	}
	assert.Equal(t, []string{
		"entity_updated", "state_invalidated", "world_time_changed", "settlement_updated", "structure_updated",
	}, types)
}

func TestNewID_IsAVersion7UUID(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		id := subjects.NewID()
		require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, id)
		require.False(t, seen[id])
		seen[id] = true
	}
}

func TestNewID_SortsByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early := subjects.NewID()
		<-time.After(time.Millisecond)
		assert.Less(t, early, subjects.NewID())
	})
}

func BenchmarkNewEvent(b *testing.B) {
	data := subjects.SettlementUpdated{ID: "7", Version: 12, Changes: map[string]any{"level": 4}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := subjects.NewEvent(data); err != nil {
			b.Fatal(err)
		}
	}
}
