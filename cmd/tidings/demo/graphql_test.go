package demo

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/mesh/meshtest"
	"github.com/tidingsmesh/tidings/subjects"
)

var fromA = http.Header{"Content-Type": {"application/json"}, "Tidings-Pane": {"a"}}

// graph asks a query as pane a and returns the answer's header and its parts.
func (s *site) graph(t *testing.T, query string, variables map[string]any, data any) (http.Header, []string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	require.NoError(t, err)
	got := s.ask(t, "POST", "/graphql", string(body), fromA)
	require.Equal(t, http.StatusOK, got.status, got.body)
	var response struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	require.NoError(t, json.Unmarshal([]byte(got.body), &response))
	if data != nil && response.Data != nil {
		require.NoError(t, json.Unmarshal(response.Data, data))
	}
	var messages []string
	for _, e := range response.Errors {
		messages = append(messages, e.Message)
	}
	return got.header, messages
}

const everything = `query All($last: Int) {
  campaign { __typename id name worldTime rate at version party { __typename id name place gold version } }
  settlements { __typename id name population prosperity mood version structures { __typename id kind level condition version } }
  chronicle(last: $last) { __typename id at text }
}`

func TestGraphQL_AnswersWithTheWorld(t *testing.T) {
	s := newSite(t)
	for range 50 {
		require.NoError(t, s.tell(t.Context(), s.world.pass))
	}
	require.NoError(t, s.tell(t.Context(), s.world.remember))
	var got struct {
		Campaign    map[string]any
		Settlements []map[string]any
		Chronicle   []map[string]any
	}
	_, wrong := s.graph(t, everything, map[string]any{"last": 1}, &got)
	require.Empty(t, wrong)
	now := s.world.snapshot()
	text := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return string(b)
	}
	assert.Equal(t, "Campaign", got.Campaign["__typename"])
	assert.Equal(t, text(now.campaign.WorldTime), text(got.Campaign["worldTime"]))
	assert.EqualValues(t, firstRate, got.Campaign["rate"])
	party, ok := got.Campaign["party"].(map[string]any)
	require.True(t, ok)
	assert.Equal(t, "Party", party["__typename"])
	assert.Equal(t, now.campaign.Party.Place, party["place"])
	require.Len(t, got.Settlements, 5)
	for i, place := range got.Settlements {
		want := now.settlements[i]
		assert.Equal(t, "Settlement", place["__typename"])
		assert.EqualValues(t, want.ID, place["id"])
		assert.EqualValues(t, want.Population, place["population"])
		assert.EqualValues(t, want.Version, place["version"])
		assert.Equal(t, want.Mood, place["mood"])
		structures, ok := place["structures"].([]any)
		require.True(t, ok)
		assert.True(t, len(structures) >= 2 && len(structures) <= 4)
		first, ok := structures[0].(map[string]any)
		require.True(t, ok)
		assert.Equal(t, "Structure", first["__typename"])
		assert.EqualValues(t, want.Structures[0].Condition, first["condition"])
	}
	require.Len(t, got.Chronicle, 1)
	assert.Equal(t, now.chronicle[0].Text, got.Chronicle[0]["text"], "the newest first")

	var one struct{ Settlement, Structure, Nothing map[string]any }
	_, wrong = s.graph(t, `query($id: ID!) { settlement(id: $id) { name } structure(id: "s1-well") { kind } nothing: settlement(id: "s9") { name } }`,
		map[string]any{"id": "s5"}, &one)
	require.Empty(t, wrong)
	assert.Equal(t, "Elkspire", one.Settlement["name"])
	assert.Equal(t, "well", one.Structure["kind"])
	assert.Nil(t, one.Nothing)
}

func TestGraphQL_SaysWhatIsWrongWithAQuery(t *testing.T) {
	s := newSite(t)
	for name, c := range map[string]struct{ query, words string }{
		"unknown field":   {`{ settlements { wealth } }`, `Cannot query field "wealth" on type "Settlement"`},
		"no query at all": {``, `no operations`},
		"broken":          {`{ settlements {`, `syntax error`},
		"missing id":      {`{ settlement { name } }`, `"id"`},
		"too many":        {`{ chronicle(last: 51) { text } }`, `last is 51; want 1 to 50`},
		"a mutation":      {`mutation { kill }`, `mutation`},
		"too long":        {`{ settlements { name ` + strings.Repeat("name ", maxQuery/5) + `} }`, `query length`},
	} {
		t.Run(name, func(t *testing.T) {
			_, wrong := s.graph(t, c.query, nil, nil)
			assert.Contains(t, strings.Join(wrong, "\n"), c.words)
		})
	}
}

func TestGraphQL_CountsTheRequestsOfEachPane(t *testing.T) {
	s := newSite(t)
	query := `{"query":"{ campaign { name } }"}`
	for range 3 {
		s.ask(t, "POST", "/graphql", query, fromA)
	}
	got := s.ask(t, "POST", "/graphql", query, http.Header{"Content-Type": {"application/json"}, "Tidings-Pane": {"b"}})
	assert.Contains(t, got.body, `"extensions":{"requests":1}`)
	for name, header := range map[string]http.Header{
		"none":    asJSON,
		"another": {"Content-Type": {"application/json"}, "Tidings-Pane": {"c"}},
	} {
		refused := s.ask(t, "POST", "/graphql", query, header)
		assert.Equal(t, http.StatusBadRequest, refused.status, name)
		assert.Contains(t, refused.body, `{"errors":[{"message":"header Tidings-Pane: no such pane`, name)
	}
	assert.JSONEq(t, `{"a":3,"b":1}`, s.ask(t, "GET", "/demo/requests", "", nil).body)
}

// The position that comes with an answer must not be younger than the data: who joins from it would never get what
// happened in between.
func TestGraphQL_ThePositionIsTakenBeforeTheData(t *testing.T) {
	s := newSite(t)
	before := s.position()
	s.world.mu.Lock() // so that the request stands where it reads the data
	request := httptest.NewRequest(http.MethodPost, s.url+"/graphql", strings.NewReader(`{"query":"{ campaign { name } }"}`))
	request.Header = fromA
	got := httptest.NewRecorder()
	var answering sync.WaitGroup
	answering.Go(func() { s.handler.ServeHTTP(got, request) })
	meshtest.Eventually(t, func() bool {
		stacks := make([]byte, 1<<20)
		return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("demo.(*world).snapshot"))
	}, "the request reads the data")
	assert.NoError(t, s.tell(t.Context(), func() subjects.Typed { return subjects.StateInvalidated{} }))
	s.world.mu.Unlock()
	answering.Wait()
	require.Equal(t, http.StatusOK, got.Code)
	var at position
	require.NoError(t, json.Unmarshal([]byte(got.Header().Get("Tidings-Position")), &at))
	assert.Equal(t, before, at)
	assert.NotEqual(t, before, s.position())
	assert.NotEmpty(t, at.Epoch)
}
