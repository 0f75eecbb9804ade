package peers

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// Collector is a target whose servers can be told to collect their garbage, so that memory can be compared.
type Collector interface {
	Collect(ctx context.Context) error
}

// collect asks every page; those of Go's profiles do it before they answer, as server.mjs does.
func collect(ctx context.Context, pages ...string) error {
	for _, page := range pages {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
		if err != nil {
			return err
		}
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Do(request)
		if err != nil {
			return fmt.Errorf("collect garbage: %w", err)
		}
		_, _ = io.Copy(io.Discard, response.Body) // the status tells
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("collect garbage: %s: %s", page, response.Status)
		}
	}
	return nil
}

// profile is the page of Go's profiles that collects garbage, at host:port.
func profile(address string) string { return "http://" + address + "/debug/pprof/heap?gc=1" }
