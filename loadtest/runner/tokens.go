package runner

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Tokens gives out one token for each holder, in their order.
type Tokens func(ctx context.Context, holders []Holder) ([]string, error)

const (
	// tokenLife is how long the harness's own tokens last; it is longer than any run.
	tokenLife = 48 * time.Hour
	// manyRooms is how many rooms a token names one by one. Above, it grants whole kinds, since servers bound its size.
	manyRooms = 64
)

// Secret signs tokens with a shared secret by HS256, as Tidings takes them: sub, rooms, exp, iat, and aud and iss where they are
// given.
func Secret(secret, audience, issuer string) Tokens {
	return func(_ context.Context, holders []Holder) ([]string, error) {
		now := time.Now()
		tokens := make([]string, len(holders))
		for i, h := range holders {
			claims := jwt.MapClaims{"sub": h.User, "rooms": h.patterns(), "iat": now.Unix(), "exp": now.Add(tokenLife).Unix()}
			if audience != "" {
				claims["aud"] = audience
			}
			if issuer != "" {
				claims["iss"] = issuer
			}
			var err error
			if tokens[i], err = jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret)); err != nil {
				return nil, fmt.Errorf("sign: %w", err)
			}
		}
		return tokens, nil
	}
}

// patterns are what a token grants: the rooms, or whole kinds when they are many.
func (h Holder) patterns() []string {
	if len(h.Rooms) <= manyRooms {
		return h.Rooms
	}
	var kinds []string
	seen := map[string]bool{}
	for _, room := range h.Rooms {
		kind, _, _ := strings.Cut(room, ":")
		if !seen[kind] {
			seen[kind] = true
			kinds = append(kinds, kind+":*")
		}
	}
	return kinds
}

// request is a holder as a server and a command are told.
type request struct {
	Subject string   `json:"sub"`
	Rooms   []string `json:"rooms"`
}

func (h Holder) request() request { return request{h.User, h.patterns()} }

// Command runs a command by the shell, which reads one JSON object a line, {"sub":"lt-1","rooms":["campaign:1"]}, and writes
// one token a line, in the same order.
func Command(command string) Tokens {
	return func(ctx context.Context, holders []Holder) ([]string, error) {
		var lines bytes.Buffer
		encoder := json.NewEncoder(&lines)
		for _, h := range holders {
			if err := encoder.Encode(h.request()); err != nil {
				return nil, err
			}
		}
		cmd := exec.CommandContext(ctx, "sh", "-c", command)
		cmd.Stdin = &lines
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%q: %w: %s", command, err, bytes.TrimSpace(complaints.Bytes()))
		}
		var tokens []string
		scanner := bufio.NewScanner(bytes.NewReader(out))
		for scanner.Scan() {
			if line := strings.TrimSpace(scanner.Text()); line != "" {
				tokens = append(tokens, line)
			}
		}
		if len(tokens) != len(holders) {
			return nil, fmt.Errorf("%q wrote %d tokens for %d lines; it has to write one for each", command, len(tokens), len(holders))
		}
		return tokens, scanner.Err()
	}
}

// ErrNoTokens says that a server does not give out tokens to whoever asks.
var ErrNoTokens = errors.New("it gives out no tokens")

// devBatch is how many tokens are asked for at once.
const devBatch = 1000

// DevServer asks a server for tokens that hands them out to whoever asks: `tidings serve --dev`. socket is where its clients
// connect. Any other server is ErrNoTokens.
func DevServer(socket string) Tokens {
	return func(ctx context.Context, holders []Holder) ([]string, error) {
		u, err := url.Parse(socket)
		if err != nil {
			return nil, err
		}
		u.Scheme, u.Path, u.RawQuery = strings.Replace(u.Scheme, "ws", "http", 1), "/dev/tokens", ""
		client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
		defer client.CloseIdleConnections()
		tokens := make([]string, 0, len(holders))
		for len(holders) > 0 {
			n := min(devBatch, len(holders))
			some, err := askForTokens(ctx, client, u.String(), holders[:n])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", u, err)
			}
			tokens, holders = append(tokens, some...), holders[n:]
		}
		return tokens, nil
	}
}

func askForTokens(ctx context.Context, client *http.Client, to string, holders []Holder) ([]string, error) {
	requests := make([]request, len(holders))
	for i, h := range holders {
		requests[i] = h.request()
	}
	body, err := json.Marshal(map[string]any{"for": requests})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // it is for a message
		return nil, fmt.Errorf("%w: %s %s", ErrNoTokens, resp.Status, bytes.TrimSpace(text))
	}
	var answer struct {
		Tokens []string `json:"tokens"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTokens, err)
	}
	if len(answer.Tokens) != len(holders) {
		return nil, fmt.Errorf("%d tokens for %d users", len(answer.Tokens), len(holders))
	}
	return answer.Tokens, nil
}
