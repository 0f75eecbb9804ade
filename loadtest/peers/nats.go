package peers

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/runner/child"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/subjects"
)

// natsProcess is a broker without users and without JetStream.
func natsProcess(server program, address string) process {
	host, port, _ := net.SplitHostPort(address) // one of child.FreePorts
	return process{
		name: "nats-server", path: server.path, args: []string{"--addr", host, "--port", port}, listen: []string{address},
	}
}

// NATSServer is nats-server with clients on its own WebSocket listener. Users are JWTs of an account whose key this process has
// (decentralized authentication), each with the subjects it may subscribe to; a room is its subject.
type NATSServer struct {
	installation
	account nkeys.KeyPair
	url     string
	profile string // URL
}

// StartNATSServer runs it; its configuration and logs go to a folder.
func StartNATSServer(ctx context.Context, t *Tools, folder string) (*NATSServer, error) {
	server, err := t.natsServer(ctx)
	if err != nil {
		return nil, err
	}
	addresses, err := child.FreePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	n := &NATSServer{url: "nats://" + addresses[0]}
	n.folder = folder
	n.profile = profile(addresses[2])
	config, err := n.config(addresses[0], addresses[1], addresses[2])
	if err != nil {
		return nil, fmt.Errorf("configuration of nats-server: %w", err)
	}
	n.about = report.Target{
		Name: "nats-server, WebSocket", Version: server.version, Dialect: "nats", Servers: 1,
		URLs:     []string{"ws://" + addresses[1] + "/"},
		Settings: map[string]string{"history": "subjects have none"},
	}
	return n, n.started(n.run(ctx, report.Server, process{
		name: "nats-server", path: server.path, args: []string{"--config", config}, listen: addresses,
	}))
}

// config makes an operator and an account, and writes the configuration file.
func (n *NATSServer) config(tcp, websocket, profiles string) (path string, err error) {
	operator, err := nkeys.CreateOperator()
	if err != nil {
		return "", err
	}
	if n.account, err = nkeys.CreateAccount(); err != nil {
		return "", err
	}
	operatorID, err := operator.PublicKey()
	if err != nil {
		return "", err
	}
	accountID, err := n.account.PublicKey()
	if err != nil {
		return "", err
	}
	operatorJWT, err := jwt.NewOperatorClaims(operatorID).Encode(operator)
	if err != nil {
		return "", err
	}
	accountJWT, err := jwt.NewAccountClaims(accountID).Encode(operator)
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(profiles) // one of child.FreePorts
	text := fmt.Sprintf(`listen: %q
prof_port: %s
websocket { listen: %q, no_tls: true }
operator: %q
resolver: MEMORY
resolver_preload { %s: %q }
`, tcp, port, websocket, operatorJWT, accountID, accountJWT)
	path = filepath.Join(n.folder, "nats.conf")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// Tokens are a user's JWT and the seed of the key that it names, in base64url, with a space between them.
func (n *NATSServer) Tokens(_ context.Context, holders []runner.Holder) ([]string, error) {
	tokens := make([]string, len(holders))
	for i, holder := range holders {
		claims, key, err := newUser(holder.User)
		if err != nil {
			return nil, err
		}
		claims.Pub.Deny.Add(">")
		for _, room := range holder.Rooms {
			subject, err := subjectOf(room)
			if err != nil {
				return nil, err
			}
			claims.Sub.Allow.Add(subject)
		}
		token, err := claims.Encode(n.account)
		if err != nil {
			return nil, fmt.Errorf("token of %s: %w", holder.User, err)
		}
		seed, err := key.Seed()
		if err != nil {
			return nil, err
		}
		_, raw, err := nkeys.DecodeSeed(seed)
		if err != nil {
			return nil, err
		}
		tokens[i] = token + " " + base64.RawURLEncoding.EncodeToString(raw)
	}
	return tokens, nil
}

// Collect uses the port of profiles.
func (n *NATSServer) Collect(ctx context.Context) error { return collect(ctx, n.profile) }

// Publisher is a client over TCP that may publish anything.
func (n *NATSServer) Publisher(ctx context.Context, rooms []string) (runner.Publisher, error) {
	names := make([]string, len(rooms))
	for i, room := range rooms {
		var err error
		if names[i], err = subjectOf(room); err != nil {
			return nil, err
		}
	}
	creds, err := n.publisherCreds()
	if err != nil {
		return nil, fmt.Errorf("credentials of the publisher: %w", err)
	}
	nc, err := mesh.Dial(ctx, mesh.DialConfig{URL: n.url, Name: "publisher", CredsFile: creds})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		nc.Close()
		return nil, fmt.Errorf("connect to %s: %w", n.url, err)
	}
	return &natsPublisher{nc: nc, subjects: names}, nil
}

func (n *NATSServer) publisherCreds() (path string, err error) {
	claims, key, err := newUser("publisher")
	if err != nil {
		return "", err
	}
	token, err := claims.Encode(n.account)
	if err != nil {
		return "", err
	}
	seed, err := key.Seed()
	if err != nil {
		return "", err
	}
	text, err := jwt.FormatUserConfig(token, seed)
	if err != nil {
		return "", err
	}
	path = filepath.Join(n.folder, "publisher.creds")
	return path, os.WriteFile(path, text, 0o600)
}

// natsPublisher publishes to subjects that nobody acknowledges.
type natsPublisher struct {
	nc       *nats.Conn
	subjects []string
}

func (p *natsPublisher) Publish(_ context.Context, room int, events []runner.Event) (int, error) {
	for i, e := range events {
		if err := p.nc.Publish(p.subjects[room], e.Data); err != nil {
			return i, fmt.Errorf("%w: %w", runner.ErrNotStored, err)
		}
	}
	return len(events), nil
}

func (p *natsPublisher) Close() { p.nc.Close() }

// userLife is longer than any run.
const userLife = 48 * time.Hour

func newUser(name string) (*jwt.UserClaims, nkeys.KeyPair, error) {
	key, err := nkeys.CreateUser()
	if err != nil {
		return nil, nil, err
	}
	id, err := key.PublicKey()
	if err != nil {
		return nil, nil, err
	}
	claims := jwt.NewUserClaims(id)
	claims.Name, claims.Expires = name, time.Now().Add(userLife).Unix()
	return claims, key, nil
}

// subjectOf is where a room's events go.
func subjectOf(room string) (string, error) {
	r, err := subjects.ParseRoom(room)
	if err != nil {
		return "", err
	}
	return r.Subject(), nil
}
