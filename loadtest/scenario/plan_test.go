package scenario_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/scenario"
	"github.com/tidingsmesh/tidings/subjects"
)

func TestPlan_IsEvenReproducibleAndValid(t *testing.T) {
	for _, name := range append(scenario.Bundled(), "uneven") {
		s := &scenario.Scenario{Clients: 103, Groups: []scenario.Group{{Kind: "a", Rooms: 7, PerClient: 3}, {Kind: "b", Rooms: 2, PerClient: 2}, {Kind: "a", Rooms: 4}}}
		if name != "uneven" {
			var err error
			s, err = scenario.Load(name)
			require.NoError(t, err)
		}
		p := s.Plan()
		assert.Equal(t, p, s.Plan(), name)
		require.Len(t, p.Clients, s.Clients)
		require.Len(t, p.Groups, len(p.Rooms))

		seen := map[string]bool{}
		for _, room := range p.Rooms {
			assert.False(t, seen[room], "%s: %s is there twice", name, room)
			seen[room] = true
			_, err := subjects.ParseRoom(room)
			require.NoError(t, err)
		}
		members := make([]int, len(p.Rooms))
		for _, rooms := range p.Clients {
			for i, room := range rooms {
				assert.NotContains(t, rooms[:i], room, "%s: a client joins a room twice", name)
				members[room]++
			}
		}
		for g, group := range s.Groups {
			var of []int
			for room, n := range members {
				if p.Groups[room] == g {
					of = append(of, n)
				}
			}
			require.Len(t, of, group.Rooms, name)
			assert.LessOrEqual(t, slices.Max(of)-slices.Min(of), 1, "%s: group %d", name, g)
			sum := 0
			for _, n := range of {
				sum += n
			}
			assert.Equal(t, s.Clients*group.PerClient, sum, name)
		}
	}
}

func TestPlan_SpreadsEachRoomOverServers(t *testing.T) {
	s, err := scenario.Load("narrow")
	require.NoError(t, err)
	const servers = 2 // a client starts at its index modulo these
	onFirst := map[int]int{}
	p := s.Plan()
	for client, rooms := range p.Clients {
		if client%servers == 0 {
			onFirst[rooms[0]]++
		}
	}
	oneSided := 0
	for room := range p.Rooms {
		if onFirst[room] == 0 || onFirst[room] == 10 {
			oneSided++
		}
	}
	assert.Less(t, oneSided, 20, "of 1000 rooms of ten; two are to be expected")
}

func TestPlan_WhoSharesASettlementSharesTheCampaign(t *testing.T) {
	s, err := scenario.Load("mix")
	require.NoError(t, err)
	p := s.Plan()
	campaign := map[int]int{}
	for _, rooms := range p.Clients {
		for _, inner := range rooms[1:] {
			if of, known := campaign[inner]; known {
				require.Equal(t, of, rooms[0])
			}
			campaign[inner] = rooms[0]
		}
	}
}
