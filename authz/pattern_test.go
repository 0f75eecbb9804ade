package authz_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/subjects"
)

func TestPattern_MatchesOneRoomOrAWholeKind(t *testing.T) {
	for _, c := range []struct {
		pattern, kind, id string
		match             bool
	}{
		{"campaign:42", "campaign", "42", true},
		{"campaign:42", "campaign", "421", false},
		{"campaign:42", "campaign", "4", false},
		{"campaign:42", "campaign", "", false},
		{"campaign:42", "campaig", "n:42", false},
		{"campaign:42", "campaign2", "42", false},
		{"campaign:42", "", "campaign:42", false},
		{"campaign:a:b", "campaign", "a:b", true},
		{"campaign:a:b", "campaign:a", "b", false},
		{"campaign:A", "campaign", "a", false},
		{"campaign:é", "campaign", "e\u0301", false},
		{"settlement:*", "settlement", "1", true},
		{"settlement:*", "settlement", "*", true},
		{"settlement:*", "settlement", "a:b", true},
		{"settlement:*", "settlements", "1", false},
		{"settlement:*", "settle", "1", false},
		{"settlement:*", "campaign", "1", false},
	} {
		p, err := authz.ParsePattern(c.pattern)
		require.NoError(t, err)
		assert.Equal(t, c.match, p.Match(subjects.Room{Kind: c.kind, ID: c.id}), "%s against %s and %s", c.pattern, c.kind, c.id)
		assert.Equal(t, c.pattern, p.String())
	}
	assert.False(t, authz.Pattern{}.Match(subjects.Room{}), "the zero pattern")
}

func TestParsePattern_RefusesWhatIsNoRoomAndNoKind(t *testing.T) {
	for _, s := range []string{
		"", ":", "*", "*:*", "**", "campaign", "campaign:", ":42", "Campaign:42", "campaign:4*", "campaign:*4", "campaign:**",
		"camp*:42", "_fence:*", "_fence:edge", "campaign:a\nb", "campaign:\xff", " campaign:42", "campaign.42", "campaign:>*",
	} {
		_, err := authz.ParsePattern(s)
		require.ErrorIs(t, err, authz.ErrPattern, "%q", s)
	}
	_, err := authz.ParsePatterns([]string{"campaign:42", "nonsense"})
	require.ErrorContains(t, err, "nonsense")
	patterns, err := authz.ParsePatterns(nil)
	require.NoError(t, err)
	assert.Empty(t, patterns)
}

func TestRules_DecisionNamesItsReason(t *testing.T) {
	rules := authz.Rules{Public: must(authz.ParsePatterns([]string{"broadcast:*", "lobby:main"}))}
	alice := authz.Principal{Subject: "alice", Grants: must(authz.ParsePatterns([]string{"campaign:42", "settlement:*"}))}
	nobody := authz.Principal{Subject: "nobody"}
	for _, c := range []struct {
		who  authz.Principal
		room subjects.Room
		want authz.Decision
	}{
		{alice, subjects.Room{Kind: "campaign", ID: "42"}, authz.Decision{Allowed: true, Rule: "grant campaign:42"}},
		{alice, subjects.Room{Kind: "campaign", ID: "43"}, authz.Decision{Rule: "no grant"}},
		{alice, subjects.Room{Kind: "settlement", ID: "7"}, authz.Decision{Allowed: true, Rule: "grant settlement:*"}},
		{alice, subjects.Room{Kind: "broadcast", ID: "7"}, authz.Decision{Allowed: true, Rule: "public broadcast:*"}},
		{nobody, subjects.Room{Kind: "lobby", ID: "main"}, authz.Decision{Allowed: true, Rule: "public lobby:main"}},
		{nobody, subjects.Room{Kind: "lobby", ID: "back"}, authz.Decision{Rule: "no grant"}},
		{nobody, subjects.Room{Kind: "campaign", ID: "42"}, authz.Decision{Rule: "no grant"}},
		{nobody, subjects.Room{}, authz.Decision{Rule: "no grant"}},
		{alice, subjects.Room{Kind: "_fence", ID: "edge-1"}, authz.Decision{Rule: "reserved kind"}},
		{alice, subjects.Room{Kind: "_", ID: "x"}, authz.Decision{Rule: "reserved kind"}},
	} {
		assert.Equal(t, c.want, rules.MayJoin(c.who, c.room), "%s in %v", c.who.Subject, c.room)
	}
	assert.Equal(t, authz.Decision{Rule: "no grant"}, authz.Rules{}.MayJoin(authz.Principal{}, subjects.Room{Kind: "lobby", ID: "main"}))
}
