package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/subjects"
)

// devTTL is how long a token of the demonstration lasts.
const devTTL = 24 * time.Hour

// devPerson is somebody to be on the page.
type devPerson struct {
	Name  string
	Rooms []string // patterns granted
}

// devPeople are two who may see different rooms, so that a denial can be seen too.
var devPeople = []devPerson{
	{Name: "alice", Rooms: []string{"campaign:42", "settlement:*"}},
	{Name: "bob", Rooms: []string{"campaign:7"}},
}

// token signs with the secret of the configuration, which --dev always has: serve makes one when none is given, also
// beside --jwt-key and --jwks, whose private halves it does not know. The edge accepts either kind.
func (p devPerson) token(c ServeConfig, now time.Time) (string, error) {
	return authz.Sign([]byte(c.JWTSecret), authz.TokenClaims{
		Subject: p.Name, Rooms: p.Rooms, Expires: now.Add(devTTL), IssuedAt: now,
		Audience: c.Audience, Issuer: c.Issuer,
	})
}

// devSession is the answer to GET /dev/session. The token is in a body and not in a URL, because URLs end up in logs.
type devSession struct {
	User    string    `json:"user"`
	Token   string    `json:"token"`
	Rooms   []string  `json:"rooms"`  // patterns that the token grants
	Public  []string  `json:"public"` // patterns granted to everyone
	Expires time.Time `json:"expires"`
}

// devSessions serves GET /dev/session?user=NAME.
type devSessions struct{ config ServeConfig }

func (s *devSessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	var names []string
	for _, person := range devPeople {
		names = append(names, person.Name)
		if person.Name != user {
			continue
		}
		now := time.Now().Truncate(time.Second)
		token, err := person.token(s.config, now)
		if err != nil {
			devAnswer(w, http.StatusInternalServerError, devProblem{Error: err.Error()})
			return
		}
		devAnswer(w, http.StatusOK, devSession{
			User: person.Name, Token: token, Rooms: person.Rooms,
			Public: append([]string{}, s.config.Public...), Expires: now.Add(devTTL).UTC(),
		})
		return
	}
	devAnswer(w, http.StatusNotFound, devProblem{Error: fmt.Sprintf("no user %.64q; there are %s", user, strings.Join(names, " and "))})
}

// devType is an event type to publish, with data that fits its schema; an application's own type has no example.
type devType struct {
	Type    string          `json:"type"`
	Example json.RawMessage `json:"example,omitempty"`
}

// devCatalogue lists types with their examples, in the order in which a newcomer wants to see them.
func devCatalogue(types []string) ([]devType, error) {
	var list []devType
	shown := make(map[string]bool)
	for _, data := range devExamples {
		text, err := json.Marshal(data)
		if err != nil {
			return nil, fmt.Errorf("example of %s: %w", data.EventType(), err)
		}
		list = append(list, devType{Type: data.EventType(), Example: text})
		shown[data.EventType()] = true
	}
	for _, eventType := range types {
		if !shown[eventType] {
			list = append(list, devType{Type: eventType})
		}
	}
	return list, nil
}

// devExamples hold one event of each type of the catalogue.
var devExamples = []subjects.Typed{
	subjects.SettlementUpdated{ID: "17", CampaignID: "42", Version: 1, Changes: map[string]any{"name": "Harrowgate", "population": 1204}},
	subjects.StructureUpdated{ID: "granary-3", SettlementID: "17", Version: 1, Changes: map[string]any{"condition": "damaged"}},
	subjects.EntityUpdated{EntityType: "Party", ID: "9", Version: 1, Changes: map[string]any{"gold": 350}},
	subjects.StateInvalidated{Entities: []subjects.EntityRef{{EntityType: "Settlement", ID: "17"}}, Reason: "the year has turned"},
	subjects.WorldTimeChanged{WorldTime: time.Date(1403, time.May, 12, 8, 0, 0, 0, time.UTC), Rate: 60},
}
