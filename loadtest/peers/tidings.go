package peers

import (
	"context"

	"github.com/tidingsmesh/tidings/loadtest/runner"
)

// Tidings is an edge of this repository with nats-server outside of it.
type Tidings struct {
	*runner.Tidings
}

// StartTidings runs it; stores and logs go to a folder.
func StartTidings(ctx context.Context, t *Tools, portable bool, folder string) (*Tidings, error) {
	server, err := t.natsServer(ctx)
	if err != nil {
		return nil, err
	}
	binary, err := t.Build(ctx, "./cmd/tidings")
	if err != nil {
		return nil, err
	}
	cfg := runner.TidingsConfig{Binary: binary, NATSServer: server.path, Dir: folder}
	if portable {
		cfg.Flags = []string{"--transport", "portable"}
	}
	edge, err := runner.StartTidings(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Tidings{edge}, nil
}

// Collect uses the address for operators.
func (t *Tidings) Collect(ctx context.Context) error {
	var pages []string
	for _, address := range t.Admin() {
		pages = append(pages, profile(address))
	}
	return collect(ctx, pages...)
}
