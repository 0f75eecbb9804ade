package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/graph-gophers/graphql-go"

	"github.com/tidingsmesh/tidings/subjects"
)

const (
	campaignID   = "demo"
	firstRate    = 60 // of the world's clock, seconds in a second
	keptEntries  = 50 // of the chronicle
	leastPeople  = 40 // in a settlement
	maxLevel     = 5
	maxCondition = 100
)

// snapshot is everything there is in the world at one moment, in the types of the GraphQL schema.
type snapshot struct {
	campaign    *campaign
	settlements []*settlement
	chronicle   []*entry // newest first; an entry never changes
}

// settlement is the one with the id, nil when there is none.
func (s snapshot) settlement(id string) *settlement {
	for _, place := range s.settlements {
		if string(place.ID) == id {
			return place
		}
	}
	return nil
}

// structure is the one with the id, nil when there is none.
func (s snapshot) structure(id string) *structure {
	for _, place := range s.settlements {
		for _, b := range place.Structures {
			if string(b.ID) == id {
				return b
			}
		}
	}
	return nil
}

type campaign struct {
	ID        graphql.ID
	Name      string
	WorldTime graphql.Time // at At
	Rate      float64      // seconds in a second
	At        graphql.Time
	Version   int32
	Party     *party
}

type party struct {
	ID      graphql.ID
	Name    string
	Place   string // name of the settlement where it is
	Gold    int32
	Version int32
}

type settlement struct {
	ID         graphql.ID
	Name       string
	Population int32
	Prosperity int32 // 0 … 100
	Mood       string
	Version    int32
	Structures []*structure
}

type structure struct {
	ID        graphql.ID
	Kind      string
	Level     int32 // 1 … maxLevel
	Condition int32 // 0 … maxCondition
	Version   int32
}

type entry struct {
	ID   graphql.ID
	At   graphql.Time // in the world
	Text string
}

// world is a small campaign with rules that change it. Each change returns what an event tells of it. Safe for concurrent
// use.
type world struct {
	mu      sync.RWMutex
	now     snapshot
	entries int // chronicled so far
}

// newWorld is as it is on the first morning.
func newWorld() *world {
	now := time.Now()
	w := &world{}
	w.now.campaign = &campaign{
		ID: campaignID, Name: "The Winter Road", Rate: 0, Version: 1,
		WorldTime: graphql.Time{Time: time.Date(1403, time.May, 12, 6, 0, 0, 0, time.UTC)}, At: graphql.Time{Time: now.UTC()},
		Party: &party{ID: "party-1", Name: "The Lanterns", Place: "Aldermoor", Gold: 350, Version: 1},
	}
	for i, s := range []struct {
		name                   string
		population, prosperity int32
		kinds                  []string
	}{
		{"Aldermoor", 1204, 72, []string{"granary", "palisade", "market", "well"}},
		{"Brackwater", 688, 48, []string{"harbour", "lighthouse", "smokehouse"}},
		{"Cinderhithe", 431, 35, []string{"foundry", "chapel"}},
		{"Dunmarrow", 967, 58, []string{"mill", "barracks", "granary"}},
		{"Elkspire", 252, 81, []string{"watchtower", "library"}},
	} {
		id := fmt.Sprintf("s%d", i+1)
		place := &settlement{
			ID: graphql.ID(id), Name: s.name, Population: s.population, Prosperity: s.prosperity, Mood: moodAt(s.prosperity), Version: 1,
		}
		for n, kind := range s.kinds {
			place.Structures = append(place.Structures, &structure{
				ID: graphql.ID(id + "-" + kind), Kind: kind, Level: int32(1 + (i+n)%3), Condition: int32(95 - 7*n - 3*i), Version: 1,
			})
		}
		w.now.settlements = append(w.now.settlements, place)
	}
	w.chronicle("The Lanterns arrive in Aldermoor with the first warm wind.")
	return w
}

// snapshot is a copy that stays as it is.
func (w *world) snapshot() snapshot {
	w.mu.RLock()
	defer w.mu.RUnlock()
	s := snapshot{campaign: clone(w.now.campaign), chronicle: slices.Clone(w.now.chronicle)}
	s.campaign.Party = clone(s.campaign.Party)
	for _, place := range w.now.settlements {
		place = clone(place)
		place.Structures = slices.Clone(place.Structures)
		for i, b := range place.Structures {
			place.Structures[i] = clone(b)
		}
		s.settlements = append(s.settlements, place)
	}
	return s
}

func clone[T any](v *T) *T {
	c := *v
	return &c
}

// pass is what happens by itself, one thing at a time.
func (w *world) pass() subjects.Typed {
	switch chance := rand.IntN(100); { //nolint:gosec // a game
	case chance < 55:
		return w.live()
	case chance < 88:
		return w.wear()
	case chance < 95:
		return w.travel()
	}
	return w.remember()
}

// live changes one settlement.
func (w *world) live() subjects.Typed {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.anySettlement()
	s.Population = max(leastPeople, s.Population+drift(12))
	s.Prosperity = min(100, max(0, s.Prosperity+drift(4)))
	s.Mood = moodAt(s.Prosperity)
	s.Version++
	return subjects.SettlementUpdated{
		ID: string(s.ID), CampaignID: campaignID, Version: uint64(s.Version), //nolint:gosec // counts up from 1
		Changes: map[string]any{"population": s.Population, "prosperity": s.Prosperity, "mood": s.Mood},
	}
}

// count changes the population of one settlement by a few people. It may happen a thousand times at once.
func (w *world) count() subjects.Typed {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.anySettlement()
	s.Population = max(leastPeople, s.Population+drift(3))
	s.Version++
	return subjects.SettlementUpdated{
		ID: string(s.ID), CampaignID: campaignID, Version: uint64(s.Version), //nolint:gosec // counts up from 1
		Changes: map[string]any{"population": s.Population},
	}
}

// wear changes one structure: it decays, and is mended or made greater once it has.
func (w *world) wear() subjects.Typed {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.anySettlement()
	b := s.Structures[rand.IntN(len(s.Structures))] //nolint:gosec // a game
	if b.Condition -= 5 + drift(4); b.Condition < 20 {
		b.Condition = maxCondition
		b.Level = b.Level%maxLevel + 1
	}
	b.Version++
	return subjects.StructureUpdated{
		ID: string(b.ID), SettlementID: string(s.ID), Version: uint64(b.Version), //nolint:gosec // counts up from 1
		Changes: map[string]any{"level": b.Level, "condition": b.Condition},
	}
}

// travel takes the party somewhere else, where it earns or spends.
func (w *world) travel() subjects.Typed {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.now.campaign.Party
	p.Place = w.anySettlement().Name
	p.Gold = max(0, p.Gold+drift(60))
	p.Version++
	return subjects.EntityUpdated{
		EntityType: "Party", ID: string(p.ID), Version: uint64(p.Version), //nolint:gosec // counts up from 1
		Changes: map[string]any{"place": p.Place, "gold": p.Gold},
	}
}

// remember adds to the chronicle. An event does not tell what: clients that show the chronicle fetch it.
func (w *world) remember() subjects.Typed {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.anySettlement()
	stories := []string{
		"A caravan with salt and lamp oil reaches " + s.Name + ".",
		"Wolves are seen again above " + s.Name + ".",
		s.Name + " elects a new reeve, after two counts.",
		"The bells of " + s.Name + " ring for a wedding.",
		"A stranger pays in " + s.Name + " with coins nobody knows.",
		"Frost takes the first sowing at " + s.Name + ".",
	}
	w.chronicle(stories[rand.IntN(len(stories))]) //nolint:gosec // a game
	return subjects.StateInvalidated{Queries: []string{"Chronicle"}, Reason: "an entry was added"}
}

// chronicle adds an entry; the caller has the lock.
func (w *world) chronicle(text string) {
	w.entries++
	e := &entry{ID: graphql.ID(fmt.Sprintf("c%d", w.entries)), At: graphql.Time{Time: w.time(time.Now())}, Text: text}
	all := append([]*entry{e}, w.now.chronicle...)
	w.now.chronicle = all[:min(len(all), keptEntries)]
}

// rates are those that the world's clock can have, in seconds in a second; 0 stops it.
var rates = []float64{0, 60, 3600}

// setRate makes the world's clock go at one of the rates from now on.
func (w *world) setRate(rate float64) subjects.Typed {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.now.campaign
	now := time.Now().UTC()
	c.WorldTime, c.At, c.Rate = graphql.Time{Time: w.time(now)}, graphql.Time{Time: now}, rate
	c.Version++
	return subjects.WorldTimeChanged{WorldTime: c.WorldTime.Time, Rate: rate, At: now}
}

// time is what time it is in the world; the caller has the lock.
func (w *world) time(now time.Time) time.Time {
	c := w.now.campaign
	passed := time.Duration(float64(now.Sub(c.At.Time)) * c.Rate)
	return c.WorldTime.Add(passed).Truncate(time.Millisecond)
}

// anySettlement is one of them; the caller has the lock.
func (w *world) anySettlement() *settlement {
	return w.now.settlements[rand.IntN(len(w.now.settlements))] //nolint:gosec // a game
}

// drift is a number from -n to n.
func drift(n int32) int32 { return rand.Int32N(2*n+1) - n } //nolint:gosec // a game

func moodAt(prosperity int32) string {
	moods := strings.Fields("grim uneasy content thriving")
	return moods[min(int(prosperity)/25, len(moods)-1)]
}
