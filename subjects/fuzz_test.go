package subjects_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tidingsmesh/tidings/subjects"
)

// Whatever decodes is a well-formed event whose JSON is valid and decodes to the
// same event; whatever does not has a reason out of the list.
func FuzzDecodeEvent(f *testing.F) {
	for _, seed := range []struct{ contentType, ceType, ceExt, payload string }{
		{"", "", "", full},
		{"", "", "", ` { "type" : "x" , "data" : [ 1 , { } ] } `},
		{"", "", "", `{"type":"x","data_base64":"AP8=","ext":-1}`},
		{"", "", "", `{"type":"x","d\u0061ta":"\ud83d\ude00","time":"2024-01-02t03:04:05+01:00"}`},
		{"", "", "", "{\"type\":\"x\",\"data\":\"\xff\"}"},
		{"", "", "", `{"type":"x","type":"y","data":1e999}`},
		{"", "", "", `{"type":"x","data":` + nested(65) + `}`},
		{"application/cloudevents+json", "", "", `{"type":"x","time":"0001-01-01T00:00:00Z"}`},
		{"application/cloudevents-batch+json", "", "", `[]`},
		{"application/json", "x", "a%20b", `{"a": 12345678901234567890}`},
		{"text/plain; charset=utf-8", "x%", "%ff", "a\x00\"\\\n"},
		{"image/png", "x", "", "\x89PNG"},
	} {
		f.Add(seed.contentType, seed.ceType, seed.ceExt, []byte(seed.payload))
	}
	f.Fuzz(func(t *testing.T, contentType, ceType, ceExt string, payload []byte) {
		h := headers{"Nats-Sequence": {"1"}}
		for name, value := range map[string]string{"Content-Type": contentType, "ce-type": ceType, "ce-ext": ceExt} {
			if value != "" {
				h[name] = []string{value}
			}
		}
		e, err := subjects.DecodeEvent(h, payload, meta)
		if err != nil {
			bad, ok := errors.AsType[*subjects.InvalidEventError](err)
			if !ok {
				t.Fatalf("%v is no InvalidEventError", err)
			}
			assertReason(t, err, bad.Reason)
			return
		}
		if err := e.Validate(); err != nil {
			t.Fatalf("%#v: %v", e, err)
		}
		text := e.AppendJSON(nil)
		if !utf8.Valid(text) || !json.Valid(text) || bytes.ContainsAny(text, "\r\n") {
			t.Fatalf("not one line of JSON: %q", text)
		}
		again, err := subjects.DecodeEvent(nil, text, meta)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(e, again) {
			t.Fatalf("%s\ncomes back as\n%s", text, again.AppendJSON(nil))
		}
		if again := again.AppendJSON(nil); !bytes.Equal(text, again) {
			t.Fatalf("%s\nis then written as\n%s", text, again)
		}
	})
}

// The package reads JSON by itself; encoding/json is the oracle for its grammar
// and for the meaning of what it keeps.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-0.5e+3,"\u00e9\n",true,false,null]}`, `01`, `-`, `1.`, `1e`, `[1,]`, `{"a"}`, `"\u12"`, `"` + "\x01" + `"`, ` [ ] `,
		`tru`, `nul`, `{} {}`, `"\ud800"`, "\"\u2028\"", `1e1000`, `"a" `, `{"a":1,"a":2}`, `"\`, `[[`, `{"":{"":[]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e := subjects.Event{ID: "1", Source: "/s", Type: "x", Data: append([]byte{}, text...)}
		err := e.Validate()
		valid := json.Valid(text) && utf8.Valid(text)
		if err != nil && valid {
			bad, ok := errors.AsType[*subjects.InvalidEventError](err)
			if !ok {
				t.Fatalf("%v is no InvalidEventError", err)
			}
			tooLarge := bad.Reason == subjects.ReasonBadData && strings.Contains(bad.Detail, "exponent")
			if bad.Reason != subjects.ReasonTooDeep && !tooLarge {
				t.Fatalf("%q is JSON, but: %v", text, err)
			}
			return
		}
		if err == nil && !valid {
			t.Fatalf("%q is not JSON", text)
		}
		if err != nil {
			return
		}
		var want bytes.Buffer
		if err := json.Compact(&want, text); err != nil {
			t.Fatal(err)
		}
		if got := e.AppendJSON(nil); !bytes.HasSuffix(got, append([]byte(`,"data":`), append(want.Bytes(), '}')...)) {
			t.Fatalf("%q is written as %q", text, got)
		}
	})
}

// A name or attribute in JSON means what encoding/json says it means.
func FuzzAttributeText(f *testing.F) {
	for _, seed := range []string{`a`, `\u0061\/\"\\`, `\ud83d\ude00`, `\ud83d`, `\uFFFD`, `é`, `\b`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		var e subjects.Event
		if err := e.UnmarshalJSON([]byte(`{"type":"x","subject":"` + inner + `"}`)); err != nil {
			return
		}
		var want struct{ Subject string }
		if err := json.Unmarshal([]byte(`{"subject":"`+inner+`"}`), &want); err == nil && e.Subject != want.Subject {
			t.Fatalf("%q is read as %q, want %q", inner, e.Subject, want.Subject)
		}
	})
}
