package main

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"time"

	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/subjects/schema"
)

//go:embed dev
var devFiles embed.FS

// devTypes are the media types of the files by their ending, since the tables of an operating system may have others.
var devTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// devPolicy lets the page load what this server has and connect to where it came from, and nothing else. Browsers
// disagree on whether 'self' includes WebSockets. Trusted types make every write of HTML from a script fail, so that no
// event can put markup into the page.
const devPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws: wss:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// devRetry is how long the page waits for the stream to take an event. Shorter than a worker would: somebody looks on.
const devRetry = 5 * time.Second

// devPage is what --dev serves at /: a page to try things on, with tokens that fit and a publisher of its own. It hands
// out tokens to whoever asks and publishes for them, hence never without --dev. Safe for concurrent use.
type devPage struct {
	http.Handler
	close func()
}

// newDevPage connects to NATS; the caller closes the page. c has a secret, given or made.
//
//	GET  /               the page; its parts are below /dev/
//	GET  /dev/session    a token for ?user=alice or bob
//	GET  /dev/catalogue  the event types that have a schema, with examples
//	POST /dev/publish    stores an event, as a worker would
//	POST /dev/tokens     tokens for any users and rooms, as a load test needs them
func newDevPage(ctx context.Context, c ServeConfig, schemas *schema.Registry, dial mesh.DialConfig, log *slog.Logger) (*devPage, error) {
	mux := http.NewServeMux()
	if err := addDevFiles(mux); err != nil {
		return nil, err
	}
	catalogue, err := devCatalogue(schemas.Types())
	if err != nil {
		return nil, err
	}
	dial.Name = "tidings dev page"
	nc, err := mesh.Dial(ctx, dial)
	if err != nil {
		return nil, err
	}
	publisher, err := mesh.NewPublisher(nc, mesh.PublisherConfig{Retry: devRetry, Log: log})
	if err != nil {
		nc.Close()
		return nil, err
	}
	mux.Handle("GET /dev/session", &devSessions{config: c})
	mux.Handle("POST /dev/tokens", &devTokens{config: c})
	mux.HandleFunc("GET /dev/catalogue", func(w http.ResponseWriter, _ *http.Request) {
		devAnswer(w, http.StatusOK, catalogue)
	})
	mux.Handle("POST /dev/publish", &devPublish{publisher: publisher, schemas: schemas})
	return &devPage{
		Handler: withDevHeaders(http.NewCrossOriginProtection().Handler(mux)),
		close:   nc.Close,
	}, nil
}

// Close gives up the page's connection to NATS.
func (d *devPage) Close() { d.close() }

// addDevFiles serves the embedded files, each by its own route: no folder can be listed, and no path names a file that
// is not there.
func addDevFiles(mux *http.ServeMux) error {
	files, err := devFiles.ReadDir("dev")
	if err != nil {
		return fmt.Errorf("the page of --dev: %w", err)
	}
	for _, f := range files {
		text, err := devFiles.ReadFile("dev/" + f.Name())
		if err != nil {
			return fmt.Errorf("the page of --dev: %w", err)
		}
		route := "GET /dev/" + f.Name()
		if f.Name() == "index.html" {
			route = "GET /{$}"
		}
		mediaType := devTypes[path.Ext(f.Name())]
		mux.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write(text) // the browser has gone
		})
	}
	return nil
}

// withDevHeaders adds what every answer carries, refusals included.
func withDevHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store") // tokens, and files of whichever version runs now
		h.Set("Content-Security-Policy", devPolicy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// devAnswer writes v, which always marshals, as JSON.
func devAnswer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the browser has gone
}

// devProblem is what the page shows when something was refused.
type devProblem struct {
	Error string `json:"error"`           // for people
	Field string `json:"field,omitempty"` // the field of the form that has to change: room, type or data
}
