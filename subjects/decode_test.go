package subjects_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/subjects"
)

var (
	stored = time.Date(2024, 11, 23, 20, 13, 10, 123_456_789, time.UTC)
	meta   = subjects.Meta{
		Room: subjects.Room{Kind: "campaign", ID: "a b"}, Seq: 1042, Time: stored, Stream: subjects.StreamName,
	}
)

type headers = map[string][]string

// decoded is what becomes of a message, in structured form.
func decoded(t *testing.T, h headers, payload string) string {
	t.Helper()
	e, err := subjects.DecodeEvent(h, []byte(payload), meta)
	require.NoError(t, err)
	require.NoError(t, e.Validate(), "what is decoded is complete")
	return string(e.AppendJSON(nil))
}

// assertText compares JSON byte by byte: order and white space count.
func assertText(t *testing.T, want, got string) {
	t.Helper()
	assert.Equal(t, want, got)
}

func TestDecodeEvent_FillsInWhatTheStreamKnows(t *testing.T) {
	want := `{"specversion":"1.0","id":"1042-d5ttzoxz5zbp","source":"/room/campaign/a%20b","type":"x","time":"2024-11-23T20:13:10.123456789Z"}`
	for name, payload := range map[string]string{
		"absent": `{"type":"x"}`,
		"null":   `{"type":"x","id":null,"time":null,"source":null,"subject":null,"datacontenttype":null,"dataschema":null,"ext":null,"specversion":null,"data_base64":null}`,
		"empty":  `{"type":"x","id":"","time":"","source":"","subject":"","datacontenttype":"","dataschema":"","specversion":"","data_base64":""}`,
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, want, decoded(t, nil, payload)) })
	}

	t.Run("the message id is the id", func(t *testing.T) {
		m := meta
		m.MsgID = "msg-7"
		e, err := subjects.DecodeEvent(nil, []byte(`{"type":"x"}`), m)
		require.NoError(t, err)
		assert.Equal(t, "msg-7", e.ID)
		e, err = subjects.DecodeEvent(nil, []byte(`{"type":"x","id":"own"}`), m)
		require.NoError(t, err)
		assert.Equal(t, "own", e.ID)
	})
	t.Run("a message id that cannot be an id is passed over", func(t *testing.T) {
		for _, id := range []string{"\x01", "\xff", strings.Repeat("x", subjects.MaxIDBytes+1)} {
			m := meta
			m.MsgID = id
			e, err := subjects.DecodeEvent(nil, []byte(`{"type":"x"}`), m)
			require.NoError(t, err)
			assert.Equal(t, "1042-d5ttzoxz5zbp", e.ID)
		}
	})
	t.Run("a sequence that came again gives another id", func(t *testing.T) {
		m := meta
		m.Time = stored.Add(time.Nanosecond)
		e, err := subjects.DecodeEvent(nil, []byte(`{"type":"x"}`), m)
		require.NoError(t, err)
		assert.NotEqual(t, "1042-d5ttzoxz5zbp", e.ID)
	})
}

// full is an event with every attribute; the tests below decode to it.
const full = `{"specversion":"1.0","id":"evt-1","source":"/workers/rules","type":"settlement_updated","subject":"settlement/7",` +
	`"time":"2024-01-02T03:04:05.6Z","datacontenttype":"application/json","dataschema":"https://example.com/s.json",` +
	`"retries":3,"traceparent":"00-ab-cd-01","urgent":true,"data":{"id":"7"}}`

func TestDecodeEvent_Structured(t *testing.T) {
	spread := strings.NewReplacer(`,"`, " ,\n\t\"", `":`, "\" : ", `{`, "{ ", `}`, " }").Replace(full)
	for name, h := range map[string]headers{
		"without headers":         nil,
		"bare":                    {"Nats-Msg-Id": {"m"}},
		"content type":            {"content-type": {"application/cloudevents+json"}},
		"content type, parameter": {"Content-Type": {"Application/CloudEvents+JSON; charset=utf-8"}},
		"content type, short":     {"CONTENT-TYPE": {"application/cloudevents"}},
		"plain JSON":              {"Content-Type": {"application/json"}},
		"structured wins":         {"content-type": {"application/cloudevents+json"}, "ce-type": {"other"}},
		"forged headers":          {"Nats-Sequence": {"1", "2"}, "Nats-Last-Sequence": {"x"}, "Nats-Time-Stamp": {"x"}},
		"other headers":           {"ce": {"x"}, "ce-": {"x"}, "c": {"x"}, "": {"x"}, "ce-type": {}, "ce-id": nil},
	} {
		t.Run(name, func(t *testing.T) {
			assertText(t, full, decoded(t, h, full))
			assertText(t, full, decoded(t, h, " "+spread+"\r\n"))
		})
	}
}

func TestDecodeEvent_Binary(t *testing.T) {
	attributes := func(more headers) headers {
		h := headers{
			"ce-specversion": {"1.0"}, "CE-ID": {"evt-1"}, "Ce-Source": {"/workers/rules"}, "ce-Type": {"settlement_updated"},
			"ce-subject": {"settlement/7"}, "ce-time": {"2024-01-02t03:04:05.6z"}, "ce-dataschema": {"https://example.com/s.json"},
			"ce-traceparent": {"00-ab-cd-01"}, "Nats-Msg-Id": {"m"},
		}
		maps.Copy(h, more)
		return h
	}
	envelope := func(contentType, data string) string {
		s := strings.NewReplacer(`"retries":3,`, "", `,"urgent":true,"data":{"id":"7"}`, data)
		return s.Replace(strings.Replace(full, `"datacontenttype":"application/json",`, contentType, 1))
	}
	for _, tt := range []struct {
		name          string
		h             headers
		payload, want string
	}{
		{"no content type is JSON", nil, `{"id":"7"}`, envelope(``, `,"data":{"id":"7"}`)},
		{"no payload is no data", nil, ``, envelope(``, ``)},
		{
			"JSON",
			headers{"Content-Type": {"application/json"}},
			"{ \"id\" : \"7\" }\n", envelope(`"datacontenttype":"application/json",`, `,"data":{"id":"7"}`),
		},
		{
			"the attribute goes before the header",
			headers{"Content-Type": {"text/plain"}, "ce-datacontenttype": {"application/json"}},
			`[1]`, envelope(`"datacontenttype":"application/json",`, `,"data":[1]`),
		},
		{
			"some +json",
			headers{"content-type": {"application/vnd.Game+JSON; v=1"}},
			`"x"`, envelope(`"datacontenttype":"application/vnd.Game+JSON; v=1",`, `,"data":"x"`),
		},
		{
			"text",
			headers{"content-type": {"text/plain"}},
			"a \"b\"\n<é>", envelope(`"datacontenttype":"text/plain",`, `,"data":"a \"b\"\n<é>"`),
		},
		{
			"anything else",
			headers{"content-type": {"application/octet-stream"}},
			"\x00\xff", envelope(`"datacontenttype":"application/octet-stream",`, `,"data_base64":"AP8="`),
		},
	} {
		t.Run(tt.name, func(t *testing.T) { assert.Equal(t, tt.want, decoded(t, attributes(tt.h), tt.payload)) })
	}
}

func TestDecodeEvent_BinaryHeadersArePercentDecoded(t *testing.T) {
	e, err := subjects.DecodeEvent(headers{
		"ce-type": {"x"}, "ce-id": {"100%25%20%e2%82%AC"}, "ce-subject": {"50% %zz %4"}, "ce-note": {"%22quoted%22"},
	}, nil, meta)
	require.NoError(t, err)
	assert.Equal(t, "100% €", e.ID)
	assert.Equal(t, "50% %zz %4", e.Subject)
	assert.JSONEq(t, `"\"quoted\""`, string(e.Extensions["note"]))
}

func TestDecodeEvent_KeepsDataAsItIs(t *testing.T) {
	for given, kept := range map[string]string{
		`12345678901234567890123456789`:   `12345678901234567890123456789`,
		`1.10`:                            `1.10`,
		`-0`:                              `-0`,
		`1E+2`:                            `1E+2`,
		`null`:                            `null`,
		`""`:                              `""`,
		`{ "b" : [ 1 , {"a":"< >"} ] }`:   `{"b":[1,{"a":"< >"}]}`,
		`{"z":1,"a":2}`:                   `{"z":1,"a":2}`,
		`"\u00e9 \/ \ud83d\ude00 \" é&<"`: `"\u00e9 \/ \ud83d\ude00 \" é&<"`,
		"\"\u2028\"":                      "\"\u2028\"",
		`"\ud800"`:                        `"\ud800"`,
		`{"a":1,"a":2}`:                   `{"a":1,"a":2}`,
	} {
		e, err := subjects.DecodeEvent(nil, []byte(`{"type":"x","data":`+given+`}`), meta)
		require.NoError(t, err, given)
		assert.Equal(t, kept, string(e.Data))
		assert.Contains(t, string(e.AppendJSON(nil)), `,"data":`+kept+`}`)

		binary, err := subjects.DecodeEvent(headers{"ce-type": {"x"}}, []byte(given), meta)
		require.NoError(t, err, given)
		assert.Equal(t, e, binary)
	}
}

func TestDecodeEvent_SharesNoMemoryWithThePayload(t *testing.T) {
	payload := []byte(full)
	e, err := subjects.DecodeEvent(nil, payload, meta)
	require.NoError(t, err)
	clear(payload)
	assertText(t, full, string(e.AppendJSON(nil)))
}

func nested(depth int) string {
	return strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth)
}

func TestDecodeEvent_Depth(t *testing.T) {
	for _, mode := range []struct {
		h       headers
		payload func(data string) string
	}{
		{nil, func(data string) string { return `{"type":"x","data":` + data + `}` }},
		{headers{"ce-type": {"x"}}, func(data string) string { return data }},
	} {
		_, err := subjects.DecodeEvent(mode.h, []byte(mode.payload(nested(subjects.MaxDepth))), meta)
		require.NoError(t, err)
		_, err = subjects.DecodeEvent(mode.h, []byte(mode.payload(nested(subjects.MaxDepth+1))), meta)
		assertReason(t, err, subjects.ReasonTooDeep)
		_, err = subjects.DecodeEvent(mode.h, []byte(mode.payload(strings.Repeat(`{"a":`, 1_000_000))), meta)
		assertReason(t, err, subjects.ReasonTooDeep)
	}
}

func assertReason(t *testing.T, err error, reason string) {
	t.Helper()
	var bad *subjects.InvalidEventError
	require.ErrorAs(t, err, &bad)
	assert.Equal(t, reason, bad.Reason, bad.Detail)
	assert.Contains(t, subjects.Reasons(), bad.Reason)
	assert.NotEmpty(t, bad.Detail)
	assert.NotContains(t, bad.Detail, "\n")
	assert.Less(t, len(bad.Detail), 600, "a detail does not grow with its event")
	assert.Contains(t, err.Error(), reason)
}

// with is an event of type x with further members.
func with(members string) string { return `{"type":"x",` + members + `}` }

// manyExtensions are n extension attributes.
func manyExtensions(n int) string {
	var names []string
	for i := range n {
		names = append(names, `"x`+strings.Repeat("i", i)+`":1`)
	}
	return strings.Join(names, ",")
}

func TestDecodeEvent_RefusesStructured(t *testing.T) {
	long := strings.Repeat("x", subjects.MaxIDBytes+1)
	for _, tt := range []struct{ name, payload, reason string }{
		{"nothing", ``, subjects.ReasonNotJSON},
		{"white space", ` `, subjects.ReasonNotJSON},
		{"a byte order mark", "\uFEFF" + `{"type":"x"}`, subjects.ReasonNotJSON},
		{"text", `hello`, subjects.ReasonNotJSON},
		{"cut short", `{"type":"x"`, subjects.ReasonNotJSON},
		{"a trailing comma", `{"type":"x",}`, subjects.ReasonNotJSON},
		{"two values", `{"type":"x"}{"type":"x"}`, subjects.ReasonNotJSON},
		{"broken after a bad attribute", `{"type":7,"id":}`, subjects.ReasonNotJSON},
		{"broken data", with(`"data":{"a":01}`), subjects.ReasonNotJSON},
		{"a line break in a string", with("\"id\":\"a\nb\""), subjects.ReasonNotJSON},
		{"a comment", `{"type":"x"/**/}`, subjects.ReasonNotJSON},
		{"single quotes", `{'type':'x'}`, subjects.ReasonNotJSON},
		{"a bad escape", with(`"data":"\x"`), subjects.ReasonNotJSON},
		{"a short escape", with(`"data":"\u00"`), subjects.ReasonNotJSON},
		{"NaN", with(`"data":NaN`), subjects.ReasonNotJSON},

		{"an array", `[{"type":"x"}]`, subjects.ReasonNotObject},
		{"a string", `"x"`, subjects.ReasonNotObject},
		{"null", `null`, subjects.ReasonNotObject},

		{"invalid UTF-8 in the type", "{\"type\":\"\xff\"}", subjects.ReasonBadUTF8},
		{"invalid UTF-8 in the data", with("\"data\":\"\xc3\""), subjects.ReasonBadUTF8},
		{"invalid UTF-8 in a name", with("\"\xed\xa0\x80\":1"), subjects.ReasonBadUTF8},

		{"no type", `{}`, subjects.ReasonNoType},
		{"no type but data", `{"data":{"type":"x"}}`, subjects.ReasonNoType},
		{"an empty type", `{"type":""}`, subjects.ReasonNoType},
		{"a null type", `{"type":null}`, subjects.ReasonNoType},
		{"a type in upper case", `{"Type":"x"}`, subjects.ReasonBadAttribute},

		{"two types", `{"type":"x","type":"y"}`, subjects.ReasonDuplicate},
		{"two types, one escaped", `{"type":"x","t\u0079pe":"y"}`, subjects.ReasonDuplicate},
		{"two data", with(`"data":1,"data":1`), subjects.ReasonDuplicate},
		{"an extension twice", with(`"a":1,"b":1,"a":1`), subjects.ReasonDuplicate},

		{"version 0.3", with(`"specversion":"0.3"`), subjects.ReasonBadVersion},
		{"version 1.0.2", with(`"specversion":"1.0.2"`), subjects.ReasonBadVersion},
		{"a version that is a number", with(`"specversion":1.0`), subjects.ReasonBadVersion},

		{"a type that is a number", `{"type":7}`, subjects.ReasonBadAttribute},
		{"a type that is an object", `{"type":{}}`, subjects.ReasonBadAttribute},
		{"a type that is too long", `{"type":"` + long + `"}`, subjects.ReasonBadAttribute},
		{"an id that is a number", with(`"id":7`), subjects.ReasonBadAttribute},
		{"an id that is too long", with(`"id":"` + long + `"`), subjects.ReasonBadAttribute},
		{"an id with a control character", with(`"id":"a\u0000"`), subjects.ReasonBadAttribute},
		{"an id with DEL", with("\"id\":\"a\x7f\""), subjects.ReasonBadAttribute},
		{"an id with a C1 control", with(`"id":"a\u0085"`), subjects.ReasonBadAttribute},
		{"an id with half of a pair", with(`"id":"\ud83d"`), subjects.ReasonBadAttribute},
		{"an id with the other half", with(`"id":"\ude00x"`), subjects.ReasonBadAttribute},
		{"an id with two first halves", with(`"id":"\ud83d\ud83d"`), subjects.ReasonBadAttribute},
		{"an id with half of a pair before an escape", with(`"id":"\ud83d\n"`), subjects.ReasonBadAttribute},
		{"an id with a code point that is no character", with(`"id":"\ufffe"`), subjects.ReasonBadAttribute},
		{"a source that is no URI reference", with(`"source":"rules engine"`), subjects.ReasonBadAttribute},
		{"a source with a bad escape", with(`"source":"/a%2"`), subjects.ReasonBadAttribute},
		{"a source of other letters", with(`"source":"/größe"`), subjects.ReasonBadAttribute},
		{"a subject that is an array", with(`"subject":[]`), subjects.ReasonBadAttribute},
		{"a time that is a number", with(`"time":1732390000`), subjects.ReasonBadAttribute},
		{"a time without a zone", with(`"time":"2024-01-02T03:04:05"`), subjects.ReasonBadAttribute},
		{"a time that is no day", with(`"time":"2024-02-30T00:00:00Z"`), subjects.ReasonBadAttribute},
		{"a time that leaves year 9999", with(`"time":"9999-12-31T23:59:59-01:00"`), subjects.ReasonBadAttribute},
		{"a content type that is no media type", with(`"datacontenttype":"json"`), subjects.ReasonBadAttribute},
		{"a content type with spaces", with(`"datacontenttype":"application / json"`), subjects.ReasonBadAttribute},
		{"a relative data schema", with(`"dataschema":"s.json"`), subjects.ReasonBadAttribute},
		{"a data schema of a scheme only", with(`"dataschema":"http:"`), subjects.ReasonBadAttribute},
		{"a data schema with a bad scheme", with(`"dataschema":"1a:b"`), subjects.ReasonBadAttribute},

		{"an extension in upper case", with(`"traceId":"x"`), subjects.ReasonBadAttribute},
		{"an extension with an underscore", with(`"trace_id":"x"`), subjects.ReasonBadAttribute},
		{"an extension without a name", with(`"":"x"`), subjects.ReasonBadAttribute},
		{"a name with half of a pair", with(`"\ud800":"x"`), subjects.ReasonBadAttribute},
		{"an extension that is an object", with(`"ext":{"a":1}`), subjects.ReasonBadAttribute},
		{"an extension that is an array", with(`"ext":[]`), subjects.ReasonBadAttribute},
		{"an extension that is a fraction", with(`"ext":1.5`), subjects.ReasonBadAttribute},
		{"an extension beyond 32 bits", with(`"ext":2147483648`), subjects.ReasonBadAttribute},
		{"an extension with a control character", with(`"ext":"\n"`), subjects.ReasonBadAttribute},
		{"an extension with half of a pair", with(`"ext":"\ud800"`), subjects.ReasonBadAttribute},
		{"one extension too many", with(manyExtensions(subjects.MaxExtensions + 1)), subjects.ReasonBadAttribute},
		{"far too many extensions", with(manyExtensions(200)), subjects.ReasonBadAttribute},

		{"data and data_base64", with(`"data":1,"data_base64":"AA=="`), subjects.ReasonBadData},
		{"data_base64 and data", with(`"data_base64":"","data":null`), subjects.ReasonBadData},
		{"base64 that is a number", with(`"data_base64":7`), subjects.ReasonBadData},
		{"base64 without padding", with(`"data_base64":"AA"`), subjects.ReasonBadData},
		{"base64 of the other alphabet", with(`"data_base64":"-_8="`), subjects.ReasonBadData},
		{"base64 with stray bits", with(`"data_base64":"AB=="`), subjects.ReasonBadData},
		{"base64 with a line break", with(`"data_base64":"AA\n=="`), subjects.ReasonBadData},
		{"base64 with half of a pair", with(`"data_base64":"\ud800"`), subjects.ReasonBadData},
		{"an exponent that nobody can hold", with(`"data":1e1000`), subjects.ReasonBadData},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := subjects.DecodeEvent(nil, []byte(tt.payload), meta)
			assertReason(t, err, tt.reason)
			assert.Zero(t, e)

			var alone subjects.Event
			assertReason(t, alone.UnmarshalJSON([]byte(tt.payload)), tt.reason)
		})
	}
}

func TestDecodeEvent_RefusesHeaders(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for _, tt := range []struct {
		name    string
		h       headers
		payload string
		reason  string
	}{
		{"a batch", headers{"content-type": {"application/cloudevents-batch+json"}}, `[]`, subjects.ReasonBadFormat},
		{"another format", headers{"content-type": {"application/cloudevents+protobuf"}}, ``, subjects.ReasonBadFormat},
		{"another format in binary mode", headers{"content-type": {"application/cloudevents+avro"}, "ce-type": {"x"}}, ``, subjects.ReasonBadFormat},
		{"structured without a type", headers{"content-type": {"application/cloudevents+json"}, "ce-type": {"x"}}, `{}`, subjects.ReasonNoType},
		{"two content types", headers{"content-type": {"text/plain", "text/plain"}}, `{"type":"x"}`, subjects.ReasonDuplicate},
		{"two content types in two cases", headers{"content-type": {"text/plain"}, "Content-Type": {"text/plain"}}, `{"type":"x"}`, subjects.ReasonDuplicate},
		{"an attribute twice", headers{"ce-type": {"x", "y"}}, ``, subjects.ReasonDuplicate},
		{"an attribute in two cases", headers{"ce-type": {"x"}, "Ce-Type": {"y"}}, ``, subjects.ReasonDuplicate},
		{"an empty type", headers{"ce-type": {""}}, ``, subjects.ReasonNotJSON},
		{"no type anywhere", headers{"ce-id": {"x"}}, `{"a":1}`, subjects.ReasonNoType},
		{"a bad version", headers{"ce-type": {"x"}, "ce-specversion": {"0.3"}}, ``, subjects.ReasonBadVersion},
		{"a bad time", headers{"ce-type": {"x"}, "ce-time": {"now"}}, ``, subjects.ReasonBadAttribute},
		{"a bad source", headers{"ce-type": {"x"}, "ce-source": {"%20"}}, ``, subjects.ReasonBadAttribute},
		{"a bad content type", headers{"ce-type": {"x"}, "content-type": {"json"}}, `{}`, subjects.ReasonBadAttribute},
		{"a bad extension", headers{"ce-type": {"x"}, "ce-trace-id": {"x"}}, ``, subjects.ReasonBadAttribute},
		{"a long bad extension", headers{"ce-type": {"x"}, "ce-" + long + "-": {long}}, ``, subjects.ReasonBadAttribute},
		{"data as an attribute", headers{"ce-type": {"x"}, "ce-data": {"x"}}, ``, subjects.ReasonBadAttribute},
		{"a control character", headers{"ce-type": {"x"}, "ce-id": {"a%0Ab"}}, ``, subjects.ReasonBadAttribute},
		{"UTF-8 that is broken", headers{"ce-type": {"x"}, "ce-id": {"\xff"}}, ``, subjects.ReasonBadUTF8},
		{"UTF-8 that is broken once decoded", headers{"ce-type": {"x"}, "ce-ext": {"%FF"}}, ``, subjects.ReasonBadUTF8},
		{"data that is not JSON", headers{"ce-type": {"x"}}, `hello`, subjects.ReasonBadData},
		{"data that is two values", headers{"ce-type": {"x"}, "content-type": {"application/json"}}, `1 2`, subjects.ReasonBadData},
		{"data of white space", headers{"ce-type": {"x"}}, ` `, subjects.ReasonBadData},
		{"data with broken UTF-8", headers{"ce-type": {"x"}}, "\"\xff\"", subjects.ReasonBadUTF8},
		{"text with broken UTF-8", headers{"ce-type": {"x"}, "content-type": {"text/plain"}}, "\xff", subjects.ReasonBadUTF8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := subjects.DecodeEvent(tt.h, []byte(tt.payload), meta)
			assertReason(t, err, tt.reason)
			assert.Zero(t, e)
		})
	}
}

func TestDecodeEvent_AcceptsTheLimits(t *testing.T) {
	id := strings.Repeat("x", subjects.MaxIDBytes)
	e, err := subjects.DecodeEvent(nil, []byte(`{"id":"`+id+`","type":"`+id+`",`+manyExtensions(subjects.MaxExtensions)+`}`), meta)
	require.NoError(t, err)
	assert.Equal(t, id, e.ID)
	assert.Len(t, e.Extensions, subjects.MaxExtensions)

	e, err = subjects.DecodeEvent(nil, []byte(with(`"a":2147483647,"b":-2147483648,"c":false,"d":"","data":1e-999`)), meta)
	require.NoError(t, err)
	assert.Len(t, e.Extensions, 4)
	assertText(t, "1e-999", string(e.Data))
}

func BenchmarkDecodeEvent(b *testing.B) {
	const structured = `{"specversion":"1.0","id":"01932f0e-7b3a-7c4e-9d51-3a1f6e2b8c90","source":"/worker","type":"settlement_updated",` +
		`"time":"2024-01-02T03:04:05.678Z","data":{"id":"7","version":12,"changes":{"level":4}}}`
	stream := headers{"Nats-Stream": {"ROOMS"}, "Nats-Subject": {"room.campaign.42"}, "Nats-Sequence": {"1042"}, "Nats-Last-Sequence": {"1037"}}
	binary := headers{
		"Nats-Stream": {"ROOMS"}, "Nats-Sequence": {"1042"}, "Nats-Last-Sequence": {"1037"}, "ce-specversion": {"1.0"},
		"ce-id": {"01932f0e-7b3a-7c4e-9d51-3a1f6e2b8c90"}, "ce-source": {"/worker"}, "ce-type": {"settlement_updated"},
		"content-type": {"application/json"},
	}
	for _, bb := range []struct {
		name    string
		h       headers
		payload string
	}{
		{"structured", stream, structured},
		{"binary", binary, `{"id":"7","version":12,"changes":{"level":4}}`},
		{"bare", stream, `{"type":"settlement_updated","data":{"id":"7"}}`},
		{"60KiB", stream, `{"type":"x","data":["` + strings.Repeat(`lorem ipsum","`, 4700) + `"]}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			payload := []byte(bb.payload)
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := subjects.DecodeEvent(bb.h, payload, meta); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	e, err := subjects.DecodeEvent(nil, []byte(full), meta)
	require.NoError(b, err)
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendJSON(dst[:0])
	}
}
