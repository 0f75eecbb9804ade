package subjects_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/subjects"
)

func TestRoom_SpellsItsSubjects(t *testing.T) {
	r, err := subjects.ParseRoom("campaign:42")
	require.NoError(t, err)
	assert.Equal(t, subjects.Room{Kind: "campaign", ID: "42"}, r)
	assert.Equal(t, "campaign:42", r.String())
	assert.Equal(t, "room.campaign.42", r.Subject())
	assert.Equal(t, "live.21.campaign.42", r.Live())
	assert.Equal(t, "nudge.21.campaign.42", r.Nudge())
	assert.Equal(t, "mesh.quarantine.campaign.42", r.Quarantine())
	assert.Equal(t, "room._fence.edge-1", subjects.Fence("edge-1"))
	assert.Equal(t, "room._mark.edge-1", subjects.Mark("edge-1"))
}

func TestParseRoom_Accepts(t *testing.T) {
	for _, tt := range []struct{ name, room, kind, id, subject string }{
		{"a plain room", "settlement:abc_DEF-9", "settlement", "abc_DEF-9", "room.settlement.abc_DEF-9"},
		{"the shortest room", "a:b", "a", "b", "room.a.b"},
		{"the longest kind", "k" + strings.Repeat("0", 31) + ":x", "k" + strings.Repeat("0", 31), "x", "room.k" + strings.Repeat("0", 31) + ".x"},
		{"the longest id", "a:" + strings.Repeat("x", 128), "a", strings.Repeat("x", 128), "room.a." + strings.Repeat("x", 128)},
		{"a kind with dash and digit", "map-2:x", "map-2", "x", "room.map-2.x"},
		{"more colons in the id", "a:b:c::", "a", "b:c::", "room.a.b%3Ac%3A%3A"},
		{"an id of wildcards", "a:*.>", "a", "*.>", "room.a.%2A%2E%3E"},
		{"an id that looks encoded", "a:%2A", "a", "%2A", "room.a.%252A"},
		{"an id like a system subject", "a:$JS.API", "a", "$JS.API", "room.a.%24JS%2EAPI"},
		{"an id with spaces", "a: x ", "a", " x ", "room.a.%20x%20"},
		{"an id of other letters", "a:größe", "a", "größe", "room.a.gr%C3%B6%C3%9Fe"},
		{"an id with the replacement character", "a:\uFFFD", "a", "\uFFFD", "room.a.%EF%BF%BD"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := subjects.ParseRoom(tt.room)
			require.NoError(t, err)
			assert.Equal(t, subjects.Room{Kind: tt.kind, ID: tt.id}, r)
			assert.Equal(t, tt.room, r.String())
			assert.Equal(t, tt.subject, r.Subject())

			back, err := subjects.ParseSubject(r.Subject())
			require.NoError(t, err)
			assert.Equal(t, r, back)
			back, err = subjects.ParseLive(r.Live())
			require.NoError(t, err)
			assert.Equal(t, r, back)
		})
	}
}

func TestParseRoom_RefusesAndSaysWhy(t *testing.T) {
	for _, tt := range []struct{ name, room, says string }{
		{"nothing", "", "no ':'"},
		{"no colon", "campaign", "no ':'"},
		{"no kind", ":42", "kind is empty"},
		{"no id", "campaign:", "id is empty"},
		{"a kind of the mesh", "_fence:edge", "mesh's own"},
		{"a kind in upper case", "Campaign:42", "a-z"},
		{"a kind that begins with a digit", "4x:42", "a-z"},
		{"a kind that begins with a dash", "-x:42", "a-z"},
		{"a kind with a dot", "a.b:42", "at byte 1"},
		{"a kind with a wildcard", "a*:42", "at byte 1"},
		{"a kind with an underscore", "a_b:42", "at byte 1"},
		{"a kind of other letters", "aé:42", "at byte 1"},
		{"a kind that is too long", strings.Repeat("k", 33) + ":42", "33 bytes, the limit is 32"},
		{"an id that is too long", "a:" + strings.Repeat("x", 129), "129 bytes, the limit is 128"},
		{"an id that is too long in bytes", "a:" + strings.Repeat("é", 65), "130 bytes"},
		{"an id that is not UTF-8", "a:\xff", "UTF-8"},
		{"half of a surrogate pair", "a:\xed\xa0\x80", "UTF-8"},
		{"a line break", "a:x\ny", "control character at byte 1"},
		{"a NUL", "a:\x00", "control character"},
		{"DEL", "a:\x7f", "control character"},
		{"a C1 control", "a:x\u0085", "control character at byte 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := subjects.ParseRoom(tt.room)
			require.ErrorIs(t, err, subjects.ErrInvalidRoom)
			require.ErrorContains(t, err, tt.says)
			assert.Zero(t, r)
			assert.Less(t, len(err.Error()), 800, "an error does not grow with its input")
		})
	}
}

func TestParseSubject_RefusesWhatItWouldNotSpell(t *testing.T) {
	for _, subject := range []string{
		"", "room", "room.", "room.campaign", "room.campaign.", "room..42", "room.campaign.42.x", "room.campaign.42.",
		"live.21.campaign.42", "rooms.campaign.42", "ROOM.campaign.42",
		"room.*.42", "room.campaign.*", "room.campaign.>", "room.>",
		"room._fence.edge", "room.Campaign.42", "room.c%61mpaign.42",
		"room.campaign.%2a", // digits in lower case
		"room.campaign.%34", // a character that stands for itself
		"room.campaign.%2",  // cut
		"room.campaign.%",   // cut
		"room.campaign.%GG", // no digits
		"room.campaign.a b", // not encoded
		"room.campaign.é",   // not encoded
		"room.campaign.%FF", // not UTF-8
		"room.campaign.%0A", // a control character
		"room.campaign." + strings.Repeat("x", 129),
	} {
		_, err := subjects.ParseSubject(subject)
		assert.ErrorIs(t, err, subjects.ErrInvalidSubject, subject)
	}
}

func TestParseLive_RefusesWhatItWouldNotSpell(t *testing.T) {
	for _, subject := range []string{
		"", "live.", "live.21", "live.21.campaign", "live.campaign.42", "room.campaign.42", "nudge.21.campaign.42",
		"live.22.campaign.42", "live.021.campaign.42", "live.277.campaign.42", "live.*.campaign.42", "live..campaign.42",
		"live.-1.campaign.42", "live.21.campaign.42.x", "live.21.campaign.*",
	} {
		_, err := subjects.ParseLive(subject)
		assert.ErrorIs(t, err, subjects.ErrInvalidSubject, subject)
	}
}

func TestRoom_HandmadeRoomsNeverSpellAWildcard(t *testing.T) {
	r := subjects.Room{Kind: "*", ID: ">"}
	require.ErrorIs(t, r.Validate(), subjects.ErrInvalidRoom)
	assert.Equal(t, "room.%2A.%3E", r.Subject())
	assert.Equal(t, "room._fence.%2A", subjects.Fence("*"))
}

func TestValidateEdge(t *testing.T) {
	for _, name := range []string{"e", "edge-1_B", strings.Repeat("e", 64)} {
		require.NoError(t, subjects.ValidateEdge(name), name)
	}
	for _, name := range []string{"", "a.b", "*", "a b", "é", strings.Repeat("e", 65)} {
		assert.ErrorIs(t, subjects.ValidateEdge(name), subjects.ErrInvalidEdge, name)
	}
}

func TestRoom_SubjectsCostOneAllocation(t *testing.T) {
	r := subjects.Room{Kind: "campaign", ID: "größe 42"}
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = r.Subject() }), 1.0)
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = r.Live() }), 1.0)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = r.Partition() }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = subjects.ParseSubject("room.campaign.42") }))
}

func BenchmarkRoomLive(b *testing.B) {
	r := subjects.Room{Kind: "campaign", ID: "01h8xgjwbwbaq4zabcdefghjkm"}
	b.ReportAllocs()
	for b.Loop() {
		_ = r.Live()
	}
}

func BenchmarkParseLive(b *testing.B) {
	subject := subjects.Room{Kind: "campaign", ID: "01h8xgjwbwbaq4zabcdefghjkm"}.Live()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := subjects.ParseLive(subject); err != nil {
			b.Fatal(err)
		}
	}
}
