package demo

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/subjects"
)

const (
	maxBody  = 4 << 10 // bytes of a request, but for GraphQL
	firstTTL = time.Hour
	minTTL   = 5 * time.Second
	maxTTL   = 24 * time.Hour
)

// granted are the rooms of the page's tokens.
var granted = []string{room.String(), "settlement:*", "structure:*"}

// control is what the buttons of the page reach. It ends processes and hands out tokens for whoever asks; its caller has
// refused requests from other pages.
//
//	GET  /demo/config              room and edges
//	POST /demo/token               a token for a pane
//	GET  /demo/edges               how they are
//	POST /demo/edges/{name}/kill   SIGKILL
//	POST /demo/edges/{name}/drain  SIGTERM
//	POST /demo/burst               many events
//	POST /demo/outlast             more events than the stream keeps
//	POST /demo/clock               the world's clock
//	GET  /demo/requests            GraphQL requests of each pane
type control struct {
	edges    []*edge
	worker   *worker
	secret   []byte // of the tokens
	requests *requests
}

// routes adds the endpoints to mux.
func (c *control) routes(mux *http.ServeMux) {
	mux.HandleFunc("/demo/config", only(http.MethodGet, c.config))
	mux.HandleFunc("/demo/token", only(http.MethodPost, c.token))
	mux.HandleFunc("/demo/edges", only(http.MethodGet, c.listEdges))
	mux.HandleFunc("/demo/edges/{name}/kill", only(http.MethodPost, c.end((*edge).kill)))
	mux.HandleFunc("/demo/edges/{name}/drain", only(http.MethodPost, c.end((*edge).drain)))
	mux.HandleFunc("/demo/burst", only(http.MethodPost, c.burst))
	mux.HandleFunc("/demo/outlast", only(http.MethodPost, c.outlast))
	mux.HandleFunc("/demo/clock", only(http.MethodPost, c.clock))
	mux.HandleFunc("/demo/requests", only(http.MethodGet, c.listRequests))
}

// only refuses other methods.
func only(method string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			refuse(w, http.StatusMethodNotAllowed, fmt.Errorf("%s takes %s, not %s", r.URL.Path, method, r.Method))
			return
		}
		next(w, r)
	}
}

func (c *control) config(w http.ResponseWriter, r *http.Request) {
	type address struct {
		Name string `json:"name"`
		URL  string `json:"url"`
	}
	edges := make([]address, len(c.edges))
	for i, e := range c.edges {
		edges[i] = address{e.name, e.url(hostOf(r))}
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"room": room.String(), "edges": edges, "history": history,
		"restartAfter": restartAfter.Milliseconds(), "drain": drainTime.Milliseconds(),
	})
}

func (c *control) token(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Pane string `json:"pane"`
		TTL  *int64 `json:"ttl"`
	}
	if status, err := readJSON(w, r, maxBody, `{"pane":"a","ttl":3600}`, &in); err != nil {
		refuse(w, status, err)
		return
	}
	ttl := firstTTL
	if in.TTL != nil {
		// Compared as numbers: as a duration a large one would overflow.
		if low, high := int64(minTTL/time.Second), int64(maxTTL/time.Second); *in.TTL < low || *in.TTL > high {
			refuse(w, http.StatusBadRequest, fmt.Errorf("ttl is %d; want %d to %d seconds", *in.TTL, low, high))
			return
		}
		ttl = time.Duration(*in.TTL) * time.Second
	}
	if err := checkPane(in.Pane); err != nil {
		refuse(w, http.StatusBadRequest, fmt.Errorf("pane: %w", err))
		return
	}
	token, expires, err := sign(c.secret, "demo-"+in.Pane, ttl)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"token": token, "expires": expires})
}

// sign makes a token for all that the demo shows.
func sign(secret []byte, subject string, ttl time.Duration) (token string, expires time.Time, err error) {
	now := time.Now().Truncate(time.Second).UTC()
	expires = now.Add(ttl)
	token, err = authz.Sign(secret, authz.TokenClaims{Subject: subject, Rooms: granted, Expires: expires, IssuedAt: now})
	return token, expires, err
}

func (c *control) listEdges(w http.ResponseWriter, r *http.Request) {
	list := make([]status, len(c.edges))
	for i, e := range c.edges {
		list[i] = e.status(hostOf(r))
	}
	writeJSON(w, http.StatusOK, list)
}

// end answers 202 once how has been begun on the edge that the path names.
func (c *control) end(how func(*edge) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		i := slices.IndexFunc(c.edges, func(e *edge) bool { return e.name == r.PathValue("name") })
		if i < 0 {
			refuse(w, http.StatusNotFound, fmt.Errorf("no edge %.64q; GET /demo/edges lists them", r.PathValue("name")))
			return
		}
		if err := how(c.edges[i]); err != nil {
			refuse(w, http.StatusConflict, err)
			return
		}
		writeJSON(w, http.StatusAccepted, c.edges[i].status(hostOf(r)))
	}
}

func (c *control) burst(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Count int `json:"count"`
	}
	if status, err := readJSON(w, r, maxBody, `{"count":100}`, &in); err != nil {
		refuse(w, status, err)
		return
	}
	if in.Count < 1 || in.Count > maxBurst {
		refuse(w, http.StatusBadRequest, fmt.Errorf("count is %d; want 1 to %d events", in.Count, maxBurst))
		return
	}
	published, err := c.worker.burst(r.Context(), in.Count, c.worker.world.count)
	answer(w, published, err)
}

func (c *control) outlast(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Pane string `json:"pane"` // who was away; the stream is the same for all
	}
	if status, err := readJSON(w, r, maxBody, `{}`, &in); err != nil {
		refuse(w, status, err)
		return
	}
	if in.Pane != "" {
		if err := checkPane(in.Pane); err != nil {
			refuse(w, http.StatusBadRequest, fmt.Errorf("pane: %w", err))
			return
		}
	}
	published, err := c.worker.outlast(r.Context(), c.worker.world.count)
	answer(w, published, err)
}

func (c *control) clock(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Rate *float64 `json:"rate"`
	}
	if status, err := readJSON(w, r, maxBody, `{"rate":60}`, &in); err != nil {
		refuse(w, status, err)
		return
	}
	if in.Rate == nil || !slices.Contains(rates, *in.Rate) {
		refuse(w, http.StatusBadRequest, fmt.Errorf("rate must be one of %v: seconds of the world in a second, 0 stops its clock", rates))
		return
	}
	var changed subjects.Typed
	err := c.worker.tell(r.Context(), func() subjects.Typed {
		changed = c.worker.world.setRate(*in.Rate)
		return changed
	})
	answer(w, changed, err)
}

func (c *control) listRequests(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, c.requests.counts())
}

// answer tells what was published, or why it was not.
func answer(w http.ResponseWriter, published any, err error) {
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, published)
	case errors.Is(err, mesh.ErrUnavailable), errors.Is(err, mesh.ErrUnknownOutcome):
		refuse(w, http.StatusServiceUnavailable, err)
	default:
		refuse(w, http.StatusInternalServerError, err)
	}
}
