package schema

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// path is where Handler serves.
const path = "/schemas/"

// Handler serves the schemas for reading, as the files are: GET /schemas/ lists
// the event types, GET /schemas/<type>.json is one schema. Answers carry an ETag.
// Everything is prepared here once; requests touch no disk and share no state.
func (r *Registry) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+path+"{$}", serve(r.index(), "application/json"))
	files := make(map[string]http.Handler, len(r.entries))
	for eventType, known := range r.entries {
		files[eventType+suffix] = serve(known.text, "application/schema+json")
	}
	mux.HandleFunc("GET "+path+"{file}", func(w http.ResponseWriter, req *http.Request) {
		file, ok := files[req.PathValue("file")]
		if !ok {
			http.Error(w, "no schema for this event type; see "+path, http.StatusNotFound)
			return
		}
		file.ServeHTTP(w, req)
	})
	return mux
}

// index is the answer to GET /schemas/: the event types in order, each with the
// URL of its schema relative to the index.
func (r *Registry) index() []byte {
	type item struct {
		Type string `json:"type"`
		Href string `json:"href"`
	}
	list := struct {
		Schemas []item `json:"schemas"`
	}{Schemas: []item{}}
	for _, eventType := range r.Types() {
		list.Schemas = append(list.Schemas, item{
			Type: eventType,
			Href: "./" + strings.TrimPrefix(location(eventType), base),
		})
	}
	text, _ := json.MarshalIndent(list, "", "  ") // strings always marshal
	return append(text, '\n')
}

// serve answers every request with text.
func serve(text []byte, contentType string) http.Handler {
	sum := sha256.Sum256(text)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "public, max-age=60")
		h.Set("ETag", etag)
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(text))
	})
}
