package demo

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/graph-gophers/graphql-go"
)

//go:embed schema.graphql
var schemaText string

// Bounds of one GraphQL request.
const (
	maxQuery     = 16 << 10 // bytes of the query
	maxQueryBody = 64 << 10 // bytes of the request
	maxDepth     = 8
)

// graphQL serves POST /graphql. It counts the requests of each pane, so that the page shows what a lost edge costs the
// application: nothing.
type graphQL struct {
	schema   *graphql.Schema
	worker   *worker
	requests *requests
}

func newGraphQL(w *worker, counted *requests, log *slog.Logger) (*graphQL, error) {
	schema, err := graphql.ParseSchema(schemaText, &query{},
		graphql.UseFieldResolvers(), graphql.MaxDepth(maxDepth), graphql.MaxQueryLength(maxQuery), graphql.Logger(panicLog{log}))
	if err != nil {
		return nil, fmt.Errorf("the demo's GraphQL schema: %w", err)
	}
	return &graphQL{schema: schema, worker: w, requests: counted}, nil
}

func (g *graphQL) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	count, err := g.requests.add(r.Header.Get("Tidings-Pane"))
	if err != nil {
		refuseQuery(w, http.StatusBadRequest, fmt.Errorf("header Tidings-Pane: %w", err))
		return
	}
	var in struct {
		Query         string         `json:"query"`
		OperationName string         `json:"operationName"`
		Variables     map[string]any `json:"variables"`
		Extensions    any            `json:"extensions"`
	}
	if status, err := readJSON(w, r, maxQueryBody, `{"query":"{ settlements { name } }"}`, &in); err != nil {
		refuseQuery(w, status, err)
		return
	}
	// Before the data: what is not in it yet, the client gets when it joins from there.
	at, err := json.Marshal(g.worker.position())
	if err != nil {
		refuseQuery(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Tidings-Position", string(at))
	ctx := context.WithValue(r.Context(), snapshotKey{}, g.worker.world.snapshot())
	response := g.schema.Exec(ctx, in.Query, in.OperationName, in.Variables)
	response.Extensions = map[string]any{"requests": count}
	writeJSON(w, http.StatusOK, response)
}

// refuseQuery answers in GraphQL's form.
func refuseQuery(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]any{"errors": []map[string]string{{"message": err.Error()}}})
}

// snapshotKey is where a request's context holds its snapshot: all of an answer is of one moment.
type snapshotKey struct{}

// query resolves the fields of Query.
type query struct{}

func at(ctx context.Context) snapshot {
	s, _ := ctx.Value(snapshotKey{}).(snapshot) // ServeHTTP has put it there
	return s
}

func (*query) Campaign(ctx context.Context) *campaign        { return at(ctx).campaign }
func (*query) Settlements(ctx context.Context) []*settlement { return at(ctx).settlements }

func (*query) Settlement(ctx context.Context, args struct{ ID graphql.ID }) *settlement {
	return at(ctx).settlement(string(args.ID))
}

func (*query) Structure(ctx context.Context, args struct{ ID graphql.ID }) *structure {
	return at(ctx).structure(string(args.ID))
}

func (*query) Chronicle(ctx context.Context, args struct{ Last int32 }) ([]*entry, error) {
	if args.Last < 1 || args.Last > keptEntries {
		return nil, fmt.Errorf("last is %d; want 1 to %d", args.Last, keptEntries)
	}
	all := at(ctx).chronicle
	return all[:min(len(all), int(args.Last))], nil
}

// panicLog tells of a resolver that panicked; the client gets an error.
type panicLog struct{ log *slog.Logger }

func (l panicLog) LogPanic(ctx context.Context, value any) {
	l.log.ErrorContext(ctx, "resolver panicked", slog.Any("panic", value))
}
