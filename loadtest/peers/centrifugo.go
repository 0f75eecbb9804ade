package peers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/runner/child"
)

// Backend is what stands behind Centrifugo.
type Backend string

// The backends. With Memory and Redis it keeps a history and clients recover from it; its NATS broker has none.
const (
	Memory Backend = "memory"
	Redis  Backend = "redis"
	NATS   Backend = "nats"
)

// Centrifugo is one Centrifugo process, which uses all processors, and its broker if any.
type Centrifugo struct {
	installation
	secret string // of tokens
	key    string // of the API
	server string // host:port
}

// StartCentrifugo runs Centrifugo with a backend; its configuration and logs go to a folder.
func StartCentrifugo(ctx context.Context, t *Tools, backend Backend, folder string) (*Centrifugo, error) {
	server, err := t.centrifugo(ctx)
	if err != nil {
		return nil, err
	}
	addresses, err := child.FreePorts(ctx, 2)
	if err != nil {
		return nil, err
	}
	address, broker := addresses[0], addresses[1]
	c := &Centrifugo{secret: rand.Text() + rand.Text(), key: rand.Text(), server: address}
	c.folder = folder
	c.about = report.Target{
		Name: "Centrifugo, " + string(backend), Version: server.version, Dialect: "centrifuge", Servers: 1,
		URLs: []string{"ws://" + address + "/connection/websocket"}, Settings: map[string]string{"history": "on"},
	}
	return c, c.started(c.start(ctx, t, backend, server, address, broker))
}

func (c *Centrifugo) start(ctx context.Context, t *Tools, backend Backend, server program, address, broker string) error {
	switch backend {
	case Memory:
	case Redis:
		redis, err := t.redis(ctx)
		if err != nil {
			return err
		}
		c.about.Settings["redis"] = redis.version
		if err := c.run(ctx, report.Broker, redisProcess(redis, broker, c.folder)); err != nil {
			return err
		}
	case NATS:
		nats, err := t.natsServer(ctx)
		if err != nil {
			return err
		}
		c.about.Settings["nats-server"], c.about.Settings["history"] = nats.version, "this broker has none"
		if err := c.run(ctx, report.Broker, natsProcess(nats, broker)); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(c.config(backend, address, broker), "", "  ")
	if err != nil {
		return err
	}
	config := filepath.Join(c.folder, "centrifugo.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return fmt.Errorf("configuration of Centrifugo: %w", err)
	}
	return c.run(ctx, report.Server, process{
		name: "centrifugo", path: server.path, args: []string{"--config", config}, listen: []string{address},
	})
}

// options are a level of a configuration file.
type options map[string]any

// config is the configuration file. Rooms are channels by their own names, for which ":" separates no namespace.
func (c *Centrifugo) config(backend Backend, address, broker string) options {
	host, port, _ := net.SplitHostPort(address) // one of child.FreePorts
	rooms := options{"allow_subscribe_for_client": true}
	if backend != NATS {
		rooms["history_size"], rooms["history_ttl"], rooms["force_recovery"] = 300, "5m", true
	}
	all := options{
		"http_server": options{"address": host, "port": json.Number(port)},
		"client":      options{"token": options{"hmac_secret_key": c.secret}},
		"http_api":    options{"key": c.key},
		"channel":     options{"namespace_boundary": "/", "without_namespace": rooms},
		"websocket":   options{"read_buffer_size": 512, "use_write_buffer_pool": true},
		"usage_stats": options{"disabled": true},
		"debug":       options{"enabled": true},
	}
	switch backend {
	case Memory:
	case Redis:
		all["engine"] = options{"type": "redis", "redis": options{"address": []string{"redis://" + broker}}}
	case NATS:
		all["broker"] = options{"enabled": true, "type": "nats", "nats": options{"url": "nats://" + broker}}
	}
	return all
}

// Tokens are connection JWTs.
func (c *Centrifugo) Tokens(ctx context.Context, holders []runner.Holder) ([]string, error) {
	return runner.Secret(c.secret, "", "")(ctx, holders)
}

// Collect uses the debug endpoint.
func (c *Centrifugo) Collect(ctx context.Context) error { return collect(ctx, profile(c.server)) }

// Publisher uses the HTTP API over connections that stay open.
func (c *Centrifugo) Publisher(_ context.Context, rooms []string) (runner.Publisher, error) {
	const connections = 64
	return &api{
		rooms: rooms, url: "http://" + c.server + "/api/", key: c.key,
		client: &http.Client{
			Transport: &http.Transport{MaxIdleConns: connections, MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections},
			Timeout:   10 * time.Second,
		},
	}, nil
}

// api calls Centrifugo's HTTP API.
type api struct {
	rooms    []string
	url, key string
	client   *http.Client
}

type publishing struct {
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
}

type answer struct {
	Error *struct {
		Message string `json:"message"`
	} `json:"error"`
	Replies []answer `json:"replies"` // of a batch
}

func (a *api) Publish(ctx context.Context, room int, events []runner.Event) (int, error) {
	if len(events) == 1 {
		one, err := a.call(ctx, "publish", publishing{a.rooms[room], events[0].Data})
		if err == nil && one.Error != nil {
			err = fmt.Errorf("publish: %w: %s", runner.ErrNotStored, one.Error.Message)
		}
		if err != nil {
			return 0, err
		}
		return 1, nil
	}
	type command struct {
		Publish publishing `json:"publish"`
	}
	commands := make([]command, len(events))
	for i, e := range events {
		commands[i].Publish = publishing{a.rooms[room], e.Data}
	}
	result, err := a.call(ctx, "batch", map[string]any{"commands": commands})
	if err != nil {
		return 0, err
	}
	for i, one := range result.Replies {
		if one.Error != nil {
			return i, fmt.Errorf("publish: %s", one.Error.Message)
		}
	}
	return len(result.Replies), nil
}

func (a *api) call(ctx context.Context, method string, body any) (answer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", runner.ErrNotStored, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url+method, bytes.NewReader(text))
	if err != nil {
		return answer{}, fmt.Errorf("%w: %w", runner.ErrNotStored, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-API-Key", a.key)
	response, err := a.client.Do(request)
	if err != nil {
		var dial *net.OpError
		if errors.As(err, &dial) && dial.Op == "dial" {
			return answer{}, fmt.Errorf("%w: %w", runner.ErrNotStored, dial.Err)
		}
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err = io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	if response.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("%s: HTTP %d %s", method, response.StatusCode, bytes.TrimSpace(text))
	}
	var result answer
	if err := json.Unmarshal(text, &result); err != nil {
		return answer{}, fmt.Errorf("%s: %w", method, err)
	}
	return result, nil
}

func (a *api) Close() { a.client.CloseIdleConnections() }
