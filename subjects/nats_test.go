package subjects_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/subjects"
)

// republish is the server's own transform from the subject of a room to its live
// subject, the oracle for Room.Live and Room.Partition.
func republish(tb testing.TB) func(tb testing.TB, subject string) string {
	tb.Helper()
	transform, err := server.NewSubjectTransform(subjects.RepublishSource, subjects.RepublishDestination)
	require.NoError(tb, err)
	return func(tb testing.TB, subject string) string {
		tb.Helper()
		live, err := transform.Match(subject)
		require.NoError(tb, err)
		return live
	}
}

// seedRooms are rooms whose names mean something to NATS, or nearly do.
var seedRooms = []string{
	"campaign:42", "settlement:a.b", "a:*", "a:>", "a:$SYS", "a:%2A", "a: ", "a:b:c", "map-2:größe", "a:..", "a:_INBOX.x",
	"a:" + strings.Repeat("\U0001F409", 32), "k0123456789012345678901234567890:x", "a:%", "a:\uFFFD", "a:,;'\"\\",
}

// randomRoom is a valid room; half of its characters need encoding.
func randomRoom(r *rand.Rand) subjects.Room {
	const kinds, letters = "abcdefghijklmnopqrstuvwxyz0123456789-", "abcXYZ059_-.*>:%$ /+äλ中"
	kind := []byte{kinds[r.IntN(26)]}
	for range r.IntN(32) {
		kind = append(kind, kinds[r.IntN(len(kinds))])
	}
	choice := []rune(letters)
	var id []rune
	for range 1 + r.IntN(40) {
		id = append(id, choice[r.IntN(len(choice))])
	}
	return subjects.Room{Kind: string(kind), ID: string(id)}
}

func TestPartition_EqualsTheServers(t *testing.T) {
	live := republish(t)
	for _, s := range seedRooms {
		r, err := subjects.ParseRoom(s)
		require.NoError(t, err)
		assert.Equal(t, live(t, r.Subject()), r.Live())
	}
	assert.Equal(t, live(t, subjects.Fence("edge-1")), subjects.Room{Kind: "_fence", ID: "edge-1"}.Live())

	random := rand.New(rand.NewPCG(29, 256))
	seen := make(map[int]bool)
	for range 20_000 {
		r := randomRoom(random)
		require.NoError(t, r.Validate())
		require.Equal(t, live(t, r.Subject()), r.Live())
		seen[r.Partition()] = true
	}
	assert.Len(t, seen, subjects.Partitions, "every partition is used")
}

func FuzzPartition(f *testing.F) {
	for _, s := range seedRooms {
		kind, id, _ := strings.Cut(s, ":")
		f.Add(kind, id)
	}
	live := republish(f)
	f.Fuzz(func(t *testing.T, kind, id string) {
		r := subjects.Room{Kind: kind, ID: id}
		if kind == "" || id == "" {
			return // the only rooms without a valid subject
		}
		if got, want := r.Live(), live(t, r.Subject()); got != want {
			t.Fatalf("%q: %s, the server has %s", r, got, want)
		}
		if p := r.Partition(); p < 0 || p >= subjects.Partitions {
			t.Fatalf("%q: partition %d", r, p)
		}
	})
}

// One room is one literal subject, and no other room's: checked with the server's
// own idea of subjects.
func FuzzParseRoom(f *testing.F) {
	for i, s := range seedRooms {
		f.Add(s, seedRooms[(i+1)%len(seedRooms)])
	}
	f.Add("campaign:4.2", "campaign:4%2E2")
	f.Add("_fence:edge", "a:\x7f")
	f.Add("a:\xff", "A:b")
	f.Fuzz(func(t *testing.T, first, second string) {
		a, err := subjects.ParseRoom(first)
		if err != nil {
			return
		}
		checkSubjects(t, a)
		b, err := subjects.ParseRoom(second)
		if err != nil {
			return
		}
		if collide := server.SubjectsCollide(a.Subject(), b.Subject()); collide != (a == b) {
			t.Fatalf("%q and %q: collide is %v", a, b, collide)
		}
	})
}

func checkSubjects(t *testing.T, r subjects.Room) {
	t.Helper()
	if back, err := subjects.ParseRoom(r.String()); err != nil || back != r {
		t.Fatalf("%q comes back as %q, %v", r, back, err)
	}
	if back, err := subjects.ParseSubject(r.Subject()); err != nil || back != r {
		t.Fatalf("%q comes back from its subject as %q, %v", r, back, err)
	}
	if back, err := subjects.ParseLive(r.Live()); err != nil || back != r {
		t.Fatalf("%q comes back from its live subject as %q, %v", r, back, err)
	}
	if !server.SubjectMatchesFilter(r.Subject(), subjects.RepublishSource) {
		t.Fatalf("%q is not republished", r.Subject())
	}
	for subject, filter := range map[string]string{
		r.Subject():    subjects.RoomWildcard,
		r.Live():       subjects.LiveWildcard,
		r.Nudge():      subjects.NudgeWildcard,
		r.Quarantine(): subjects.QuarantineWildcard,
	} {
		if !server.IsValidPublishSubject(subject) || !server.IsValidLiteralSubject(subject) {
			t.Fatalf("%q is not literal", subject)
		}
		if !server.SubjectMatchesFilter(subject, filter) {
			t.Fatalf("%q is not in %q", subject, filter)
		}
	}
}

// What ParseSubject accepts is exactly what Subject spells.
func FuzzParseSubject(f *testing.F) {
	for _, s := range []string{
		"room.campaign.42", "room.a.%2A", "room.a.%2a", "room.a.%41", "room.a.*", "room._fence.x", "room.a.b.c",
		"room.a.%C3%A9", "room.a.%FF", "live.21.campaign.42", "live.021.campaign.42", "live.a.b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		if r, err := subjects.ParseSubject(subject); err == nil && r.Subject() != subject {
			t.Fatalf("%q is read as %q, which is %q", subject, r, r.Subject())
		}
		if r, err := subjects.ParseLive(subject); err == nil && r.Live() != subject {
			t.Fatalf("%q is read as %q, which is %q", subject, r, r.Live())
		}
	})
}
