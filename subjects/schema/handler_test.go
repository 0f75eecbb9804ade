package schema_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/subjects"
)

func request(h http.Handler, method, target string, header http.Header) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, nil)
	req.Header = header
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func TestHandler_ListsAndServesEverySchema(t *testing.T) {
	own := `{"type" : "number"}`
	h := load(t, map[string]string{"a b:c.json": own}).Handler()

	index := request(h, http.MethodGet, "/schemas/", nil)
	require.Equal(t, http.StatusOK, index.Code)
	assert.Equal(t, "application/json", index.Header().Get("Content-Type"))
	var list struct {
		Schemas []struct{ Type, Href string }
	}
	require.NoError(t, json.Unmarshal(index.Body.Bytes(), &list))
	require.Len(t, list.Schemas, len(subjects.Catalogue())+1)
	assert.Equal(t, "a b:c", list.Schemas[0].Type)

	here, err := url.Parse("/schemas/")
	require.NoError(t, err)
	for i, item := range list.Schemas {
		want := []byte(own)
		if i > 0 {
			want, err = os.ReadFile("catalogue/" + item.Type + ".json")
			require.NoError(t, err)
		}
		href, err := here.Parse(item.Href)
		require.NoError(t, err)
		got := request(h, http.MethodGet, href.String(), nil)
		require.Equal(t, http.StatusOK, got.Code, href)
		assert.Equal(t, string(want), got.Body.String(), "the file as it is")
		assert.Equal(t, "application/schema+json", got.Header().Get("Content-Type"))
		assert.Equal(t, "nosniff", got.Header().Get("X-Content-Type-Options"))
	}
}

func TestHandler_AnswersConditionalRequests(t *testing.T) {
	h := load(t, nil).Handler()
	first := request(h, http.MethodGet, "/schemas/settlement_updated.json", nil)
	etag := first.Header().Get("ETag")
	require.NotEmpty(t, etag)
	again := request(h, http.MethodGet, "/schemas/settlement_updated.json", http.Header{"If-None-Match": {etag}})
	assert.Equal(t, http.StatusNotModified, again.Code)
	assert.Empty(t, again.Body.String())
	other := request(h, http.MethodGet, "/schemas/structure_updated.json", http.Header{"If-None-Match": {etag}})
	assert.Equal(t, http.StatusOK, other.Code)
}

func TestHandler_RefusesTheRest(t *testing.T) {
	h := load(t, nil).Handler()
	for target, code := range map[string]int{
		"/schemas/unknown.json":                 http.StatusNotFound,
		"/schemas/settlement_updated":           http.StatusNotFound,
		"/schemas/settlement_updated.json/x":    http.StatusNotFound,
		"/schemas/..%2F..%2Fetc%2Fpasswd":       http.StatusNotFound,
		"/schemas/%2e%2e/settlement_updated.js": http.StatusNotFound,
		"/":                                     http.StatusNotFound,
	} {
		got := request(h, http.MethodGet, target, nil)
		if got.Code == http.StatusTemporaryRedirect || got.Code == http.StatusMovedPermanently {
			got = request(h, http.MethodGet, got.Header().Get("Location"), nil)
		}
		assert.Equal(t, code, got.Code, target)
	}
	assert.Equal(t, http.StatusMethodNotAllowed, request(h, http.MethodPost, "/schemas/", nil).Code)
	assert.Equal(t, http.StatusMethodNotAllowed, request(h, http.MethodDelete, "/schemas/settlement_updated.json", nil).Code)
	head := request(h, http.MethodHead, "/schemas/settlement_updated.json", nil)
	assert.Equal(t, http.StatusOK, head.Code)
	assert.Empty(t, head.Body.String())
}
