package demo

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path"
	"strings"
	"time"
)

// webFiles is the page as client/demo builds it.
//
//go:embed web
var webFiles embed.FS

// mediaTypes are those of the files by their ending, since the tables of an operating system may have others.
var mediaTypes = map[string]string{
	".html":        "text/html; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".js":          "text/javascript; charset=utf-8",
	".json":        "application/json",
	".map":         "application/json",
	".svg":         "image/svg+xml",
	".png":         "image/png",
	".ico":         "image/x-icon",
	".woff2":       "font/woff2",
	".txt":         "text/plain; charset=utf-8",
	".webmanifest": "application/manifest+json",
}

// addPage serves the files, each by its own route: no folder can be listed, and no path names a file that is not there.
// Browsers ask each time whether theirs is still the one of the binary that runs, and mostly it is.
func addPage(mux *http.ServeMux, files fs.FS) error {
	return fs.WalkDir(files, ".", func(name string, f fs.DirEntry, err error) error {
		if err != nil || f.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		mediaType := mediaTypes[path.Ext(name)]
		if mediaType == "" {
			return fmt.Errorf("the page's %s: its kind has no media type in mediaTypes", name)
		}
		route := "/" + name
		if name == "index.html" {
			route = "/{$}"
		}
		tag := fmt.Sprintf(`"%x"`, sha256.Sum256(text))
		serve := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			w.Header().Set("Cache-Control", "no-cache")
			w.Header().Set("ETag", tag)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
		}
		mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				serve(w, r)
				return
			}
			only(http.MethodGet, serve)(w, r)
		})
		return nil
	})
}

// policy lets the page load what this server has and connect to it and to the edges, and nothing else.
func policy(host string, edges []*edge) string {
	connect := []string{"connect-src 'self'"}
	for _, e := range edges {
		address := net.JoinHostPort(host, e.port)
		connect = append(connect, "ws://"+address, "http://"+address)
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; manifest-src 'self'; " +
		strings.Join(connect, " ") +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
}

// guard refuses requests of foreign pages and under foreign names, and adds what every answer carries.
func guard(known hosts, edges []*edge, next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, errors.New("only the demo's own page may do this; this request comes from another origin"))
	}))
	next = origins.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if !known.allow(r) {
			refuse(w, http.StatusMisdirectedRequest, fmt.Errorf(
				"the demo is not known as %.64q; ask for it as %s (--http :8080 makes it known by all addresses of this machine)", r.Host, strings.Join(known, ", ")))
			return
		}
		h.Set("Content-Security-Policy", policy(hostOf(r), edges))
		next.ServeHTTP(w, r)
	})
}
