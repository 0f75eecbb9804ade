package scenario

import (
	"math/rand/v2"
	"strconv"
)

// Plan is who joins what. Indexes into Rooms are how clients, events and the harness name rooms.
type Plan struct {
	Rooms   []string // "kind:id"
	Groups  []int    // of each room: index into Scenario.Groups
	Clients [][]int  // of each client: the rooms it joins, none twice
}

// planSeed makes that the same scenario is dealt the same way everywhere.
const planSeed = 4

// Plan deals clients to rooms. Rooms of a group differ by at most one client. Who sits where is shuffled, so that the clients of a room
// spread over servers and processes; those who share a room of one group share one of the next where the numbers allow it, as people who
// look at one settlement play in one campaign.
func (s *Scenario) Plan() Plan {
	p := Plan{Clients: make([][]int, s.Clients)}
	seats := rand.New(rand.NewPCG(planSeed, planSeed)).Perm(s.Clients) //nolint:gosec // reproducible on purpose
	used := map[string]int{}
	for g, group := range s.Groups {
		first := len(p.Rooms)
		for range group.Rooms {
			used[group.Kind]++
			p.Rooms = append(p.Rooms, group.Kind+":"+strconv.Itoa(used[group.Kind]))
			p.Groups = append(p.Groups, g)
		}
		for client, seat := range seats {
			for i := range group.PerClient {
				p.Clients[client] = append(p.Clients[client], first+(seat*group.PerClient+i)%group.Rooms)
			}
		}
	}
	return p
}
