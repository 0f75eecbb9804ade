package wire_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/edge/wire"
	"github.com/tidingsmesh/tidings/mesh/continuity"
)

func TestDecodeClient_Accepts(t *testing.T) {
	since := &wire.Position{Epoch: "e", Seq: 7, ID: "evt", TS: 5}
	for name, c := range map[string]struct {
		text string
		want wire.ClientFrame
	}{
		"hello alone, the token came with the handshake": {`{"op":"hello"}`, wire.ClientFrame{Op: wire.OpHello}},
		"bare names and objects mixed": {
			`{"op":"join","rooms":["a:1",{"room":"a:2"},{"room":"a:3","since":{"epoch":"e","seq":7,"id":"evt","ts":5}}]}`,
			wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: "a:1"}, {Room: "a:2"}, {Room: "a:3", Since: since}}},
		},
		"since null is a first join": {
			`{"op":"join","rooms":[{"room":"a:1","since":null}]}`,
			wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: "a:1"}}},
		},
		"leave by object": {`{"op":"leave","rooms":[{"room":"a:1"}]}`, wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: "a:1"}}}},
		"unknown members, nested ones too": {
			`{"v":2,"op":"join","x":[{"y":[]}],"rooms":[{"room":"a:1","as":"b","since":{"epoch":"e","seq":7,"id":"evt","ts":5,"z":{}}}]}`,
			wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: "a:1", Since: since}}},
		},
		"white space around":     {" \t\r\n{\n\"op\" : \"pong\"\t}\r\n ", wire.ClientFrame{Op: wire.OpPong}},
		"escapes":                {`{"op":"\u006eope","op":"\u0070ong"}`, wire.ClientFrame{Op: wire.OpPong}},
		"half a surrogate":       {`{"op":"leave","rooms":["a:\ud800"]}`, wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: "a:\ufffd"}}}},
		"text that is not UTF-8": {"{\"op\":\"leave\",\"rooms\":[\"a:\xff\"]}", wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: "a:\ufffd"}}}},
		"a name that is none, which is for the room to say": {`{"op":"join","rooms":["",null]}`, wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{}, {}}}},
		"members in another case are others": {
			`{"op":"join","OP":"leave","Token":"t","rooms":["a:1"],"ROOMS":["b:1"]}`,
			wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: "a:1"}}},
		},
		"members of a room in another case are others": {
			`{"op":"join","rooms":[{"room":"a:1","Room":"b:1","Since":{"epoch":"e","seq":7}}]}`,
			wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: "a:1"}}},
		},
		"an escaped name is the name": {`{"\u006fp":"pong"}`, wire.ClientFrame{Op: wire.OpPong}},
		"brackets and quotes in text": {
			`{"x":"]}\"","y":[{"z":"[{"},[]],"op":"leave","rooms":["a:}\\",{"room":"a:\"]"}]}`,
			wire.ClientFrame{Op: wire.OpLeave, Rooms: []wire.RoomRef{{Room: `a:}\`}, {Room: `a:"]`}}},
		},
		"rooms given twice, the first one leaves no position behind": {
			`{"op":"join","rooms":[{"room":"a:1","since":{"epoch":"e","seq":7}}],"rooms":[{"room":"b:1"}]}`,
			wire.ClientFrame{Op: wire.OpJoin, Rooms: []wire.RoomRef{{Room: "b:1"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wire.DecodeClient([]byte(c.text))
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestDecodeClient_RefusesAndSaysWhy(t *testing.T) {
	const object = "a frame is one JSON object"
	for name, c := range map[string]struct{ text, want string }{
		"nothing":             {"", object},
		"white space":         {" \n", object},
		"an array":            {`[{"op":"pong"}]`, object},
		"a string":            {`"pong"`, object},
		"null":                {`null`, object},
		"no-break space":      {"\u00a0{\"op\":\"pong\"}", object},
		"byte order mark":     {"\ufeff{\"op\":\"pong\"}", object},
		"cut off":             {`{"op":"pong"`, "unexpected end"},
		"garbage behind":      {`{"op":"pong"}x`, "invalid character 'x'"},
		"two objects":         {`{"op":"pong"}{"op":"pong"}`, "invalid character '{'"},
		"single quotes":       {`{'op':'pong'}`, "invalid character"},
		"a comment":           {`{"op":"pong"/**/}`, "invalid character"},
		"a control character": {"{\"op\":\"po\nng\"}", "invalid character"},
		"NaN":                 {`{"op":"pong","x":NaN}`, "invalid character"},
		"no op":               {`{"rooms":["a:1"]}`, "op is missing"},
		"op in capitals":      {`{"OP":"pong"}`, "op is missing"},
		"rooms in capitals":   {`{"op":"join","ROOMS":["a:1"]}`, "rooms is missing or empty"},
		"op empty":            {`{"op":""}`, "op is missing"},
		"op null":             {`{"op":null}`, "op is missing"},
		"op no string":        {`{"op":1}`, "number"},
		"op unknown":          {`{"op":"publish"}`, `unknown op "publish"`},
		"op of the edge":      {`{"op":"welcome"}`, `unknown op "welcome"`},
		"op in other case":    {`{"op":"PONG"}`, `unknown op "PONG"`},
		"token missing":       {`{"op":"token"}`, "the token is missing"},
		"token no string":     {`{"op":"hello","token":{}}`, "object"},
		"join of nothing":     {`{"op":"join"}`, "rooms is missing or empty"},
		"join of no rooms":    {`{"op":"join","rooms":[]}`, "rooms is missing or empty"},
		"join of null":        {`{"op":"join","rooms":null}`, "rooms is missing or empty"},
		"leave of nothing":    {`{"op":"leave"}`, "rooms is missing or empty"},
		"rooms no list":       {`{"op":"join","rooms":"a:1"}`, "string"},
		"a room of numbers":   {`{"op":"join","rooms":[1]}`, "number"},
		"a list of lists":     {`{"op":"join","rooms":[["a:1"]]}`, "array"},
		"room no string":      {`{"op":"join","rooms":[{"room":1}]}`, "number"},
		"since a string":      {`{"op":"join","rooms":[{"room":"a:1","since":"7"}]}`, "since is not a position"},
		"since a number":      {`{"op":"join","rooms":[{"room":"a:1","since":7}]}`, "since is not a position"},
		"since a list":        {`{"op":"join","rooms":[{"room":"a:1","since":[{}]}]}`, "since is not a position"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wire.DecodeClient([]byte(c.text))
			var frame *wire.FrameError
			require.ErrorAs(t, err, &frame)
			assert.Contains(t, frame.Error(), c.want)
			assert.NotRegexp(t, `Go |wire\.|struct|unmarshal`, frame.Error(), "the reader is no Go programmer")
		})
	}
}

func TestDecodeClient_RefusesDeepNestingWithoutHarm(t *testing.T) {
	const depth = 1 << 20
	for _, text := range []string{
		`{"op":"pong","x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`,
		strings.Repeat(`{"x":`, depth),
		`{"op":"join","rooms":[{"room":"a:1","since":` + strings.Repeat(`{"seq":`, depth) + `1` + strings.Repeat(`}`, depth) + `}]}`,
	} {
		_, err := wire.DecodeClient([]byte(text))
		var frame *wire.FrameError
		assert.ErrorAs(t, err, &frame)
	}
}

// The reader in front bounds a message; what passes it is never refused for its size alone.
func TestDecodeClient_HasNoLimitOfItsOwn(t *testing.T) {
	room := "a:" + strings.Repeat("x", 1<<20)
	got, err := wire.DecodeClient([]byte(`{"op":"join","rooms":["` + room + `"]}`))
	require.NoError(t, err)
	assert.Equal(t, room, got.Rooms[0].Room)
}

func TestDecodeClient_UnknownOpIsCutInTheError(t *testing.T) {
	_, err := wire.DecodeClient([]byte(`{"op":"` + strings.Repeat("x", 1<<10) + `"}`))
	require.Error(t, err)
	assert.Less(t, len(err.Error()), 100)
}

func TestPosition_ThatCannotBeTrueIsNone(t *testing.T) {
	const safe = "9007199254740991" // 2^53 - 1
	good := wire.Position{Epoch: "e", Seq: 7, ID: "evt", TS: 5}
	for name, c := range map[string]struct {
		text string
		want wire.Position
	}{
		"whole":               {`{"epoch":"e","seq":7,"id":"evt","ts":5}`, good},
		"of an empty room":    {`{"epoch":"e","seq":7,"ts":5}`, wire.Position{Epoch: "e", Seq: 7, TS: 5}},
		"without time":        {`{"epoch":"e","seq":7,"id":"evt"}`, wire.Position{Epoch: "e", Seq: 7, ID: "evt"}},
		"id and ts null":      {`{"epoch":"e","seq":7,"id":null,"ts":null}`, wire.Position{Epoch: "e", Seq: 7}},
		"largest":             {`{"epoch":"e","seq":` + safe + `,"ts":` + safe + `}`, wire.Position{Epoch: "e", Seq: 1<<53 - 1, TS: 1<<53 - 1}},
		"empty":               {`{}`, wire.Position{}},
		"seq 0":               {`{"epoch":"e","seq":0,"id":"evt","ts":5}`, wire.Position{Epoch: "e", ID: "evt", TS: 5}},
		"seq missing":         {`{"epoch":"e","id":"evt","ts":5}`, wire.Position{}},
		"seq null":            {`{"epoch":"e","seq":null}`, wire.Position{}},
		"seq -1":              {`{"epoch":"e","seq":-1}`, wire.Position{}},
		"seq -0":              {`{"epoch":"e","seq":-0}`, wire.Position{}},
		"seq 1.5":             {`{"epoch":"e","seq":1.5}`, wire.Position{}},
		"seq 7.0":             {`{"epoch":"e","seq":7.0}`, wire.Position{}},
		"seq 1e3":             {`{"epoch":"e","seq":1e3}`, wire.Position{}},
		"seq 2^53":            {`{"epoch":"e","seq":9007199254740992}`, wire.Position{}},
		"seq 2^53+1":          {`{"epoch":"e","seq":9007199254740993}`, wire.Position{}},
		"seq 2^64-1":          {`{"epoch":"e","seq":18446744073709551615}`, wire.Position{}},
		"seq 2^64":            {`{"epoch":"e","seq":18446744073709551616}`, wire.Position{}},
		"seq with 400 digits": {`{"epoch":"e","seq":` + strings.Repeat("9", 400) + `}`, wire.Position{}},
		"seq a string":        {`{"epoch":"e","seq":"7"}`, wire.Position{}},
		"seq an object":       {`{"epoch":"e","seq":{"seq":7}}`, wire.Position{}},
		"seq true":            {`{"epoch":"e","seq":true}`, wire.Position{}},
		"names in capitals":   {`{"EPOCH":"e","SEQ":7}`, wire.Position{}},
		"capitals beside":     {`{"epoch":"e","seq":7,"Seq":8,"ID":"evt","TS":9}`, wire.Position{Epoch: "e", Seq: 7}},
		"epoch null":          {`{"epoch":null,"seq":7}`, wire.Position{}},
		"epoch missing":       {`{"seq":7}`, wire.Position{}},
		"epoch a number":      {`{"epoch":1,"seq":7}`, wire.Position{}},
		"epoch an object":     {`{"epoch":{},"seq":7}`, wire.Position{}},
		"id a number":         {`{"epoch":"e","seq":7,"id":1}`, wire.Position{}},
		"id a list":           {`{"epoch":"e","seq":7,"id":["evt"]}`, wire.Position{}},
		"ts negative":         {`{"epoch":"e","seq":7,"ts":-1}`, wire.Position{}},
		"ts -2^63":            {`{"epoch":"e","seq":7,"ts":-9223372036854775808}`, wire.Position{}},
		"ts 1.5":              {`{"epoch":"e","seq":7,"ts":1.5}`, wire.Position{}},
		"ts 2^53":             {`{"epoch":"e","seq":7,"ts":9007199254740992}`, wire.Position{}},
		"ts 2^63":             {`{"epoch":"e","seq":7,"ts":9223372036854775808}`, wire.Position{}},
		"ts a string":         {`{"epoch":"e","seq":7,"ts":"5"}`, wire.Position{}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := wire.DecodeClient([]byte(`{"op":"join","rooms":[{"room":"a:1","since":` + c.text + `}]}`))
			require.NoError(t, err, "a client must be able to recover from a position that it stored badly")
			require.Len(t, f.Rooms, 1)
			require.NotNil(t, f.Rooms[0].Since, "it came with a position, so this is no first join")
			assert.Equal(t, c.want, *f.Rooms[0].Since)
		})
	}
}

func TestPosition_ConvertsToTheMeshAndBack(t *testing.T) {
	p := continuity.Position{Epoch: "e", Seq: 7, ID: "evt", TS: 5}
	q := wire.PositionOf(p)
	assert.Equal(t, &p, q.Continuity())
	assert.Nil(t, (*wire.Position)(nil).Continuity())
}

func FuzzDecodeClient(f *testing.F) {
	for _, file := range []string{"client.json", "client_refused.json"} {
		for _, g := range readGolden(f, file) {
			f.Add([]byte(g.Frame))
		}
	}
	f.Add([]byte("{\"op\":\"leave\",\"rooms\":[\"\xff\"]}"))
	f.Add([]byte("\u0085{\"op\":\"pong\"}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := string(text)
		got, err := wire.DecodeClient(text)
		require.Equal(t, before, string(text), "the input is not changed")
		if err != nil {
			var frame *wire.FrameError
			require.ErrorAs(t, err, &frame)
			require.NotEmpty(t, frame.Reason)
			return
		}
		require.True(t, json.Valid(text))
		require.Contains(t, clientOps, got.Op)
		if got.Op == wire.OpToken {
			require.NotEmpty(t, got.Token)
		}
		if got.Op == wire.OpJoin || got.Op == wire.OpLeave {
			require.NotEmpty(t, got.Rooms)
		}
		for _, ref := range got.Rooms {
			require.True(t, utf8.ValidString(ref.Room))
		}
		plain, err := json.Marshal(got)
		require.NoError(t, err)
		again, err := wire.DecodeClient(plain)
		require.NoError(t, err)
		if len(got.Rooms) == 0 {
			got.Rooms = nil // an empty list and none are the same
		}
		require.Equal(t, got, again, "the plain form means the same")
	})
}

func FuzzPosition(f *testing.F) {
	for _, text := range []string{
		`{"epoch":"e","seq":7,"id":"evt","ts":5}`, `{"seq":-1}`, `{"epoch":"e","seq":1e3}`, `{"epoch":"e","seq":9007199254740993}`,
		`{"epoch":"e","seq":18446744073709551615}`, `{"epoch":"e","seq":7,"ts":-9223372036854775808}`, `{"epoch":null,"seq":7}`,
		`{"epoch":"\ud800","seq":7,"id":"\u0000"}`, `{"Seq":1,"seq":2,"epoch":"e"}`, `null`, `[]`, `""`, `{`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const maxSafe = 1<<53 - 1
		var p wire.Position
		err := json.Unmarshal(text, &p)
		trimmed := strings.TrimLeft(string(text), " \t\r\n")
		if json.Valid(text) && strings.HasPrefix(trimmed, "{") {
			require.NoError(t, err, "an object is a position, if only a bad one")
		}
		require.LessOrEqual(t, p.Seq, uint64(maxSafe))
		require.GreaterOrEqual(t, p.TS, int64(0))
		require.LessOrEqual(t, p.TS, int64(maxSafe))
		require.True(t, utf8.ValidString(p.Epoch) && utf8.ValidString(p.ID))
		plain, err := json.Marshal(p)
		require.NoError(t, err)
		var again wire.Position
		require.NoError(t, json.Unmarshal(plain, &again))
		require.Equal(t, p, again)
	})
}

func TestDecodeRooms_IsWhatHelloHas(t *testing.T) {
	for _, list := range []string{
		`[]`, ` ["k:1"] `, `["k:1",{"room":"k:2","since":null}]`, `[{"room":"k:1","since":{"epoch":"e","seq":7,"id":"x","ts":9}}]`, `[null]`,
	} {
		hello, err := wire.DecodeClient([]byte(`{"op":"hello","rooms":` + list + `}`))
		require.NoError(t, err)
		rooms, err := wire.DecodeRooms([]byte(list))
		require.NoError(t, err)
		assert.Equal(t, hello.Rooms, rooms, list)
	}
	for list, want := range map[string]string{
		"": "rooms is missing", " ": "rooms is missing", "null": "rooms is null", `{}`: "rooms is an object", `"k:1"`: "rooms is a string",
		"[": "rooms: unexpected end", `[],"op":"join"`: "rooms: invalid character", `[[]]`: "an element is an array", `[{"room":7}]`: "room is a number",
	} {
		_, err := wire.DecodeRooms([]byte(list))
		var bad *wire.FrameError
		require.ErrorAs(t, err, &bad, list)
		assert.Contains(t, bad.Reason, want, list)
	}
}
