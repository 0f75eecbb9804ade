package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/history"
)

// token signs one, as an application's login does. A client that is late keeps the one it has until an edge
// refuses it.
func (k *client) token(_ context.Context, refused string) (string, error) {
	if current := k.current.Load(); k.late && current != nil && *current != refused {
		return *current, nil
	}
	now := time.Now()
	expires := now.Add(tokenLife).Unix()
	if k.cfg.Class == history.Expires {
		expires = now.Add(shortLife).Unix()
	}
	if at := k.crowd.cfg.Clients.ExpireAt; now.Unix() < at {
		expires = min(expires, at)
	}
	text, err := sign([]byte(k.crowd.cfg.Clients.Secret), map[string]any{
		"sub": k.cfg.Name, "exp": expires, "rooms": k.cfg.Rooms,
	})
	if err != nil {
		return "", err
	}
	k.current.Store(&text)
	return text, nil
}

// sign makes a JWT with HS256 (RFC 7515, RFC 7519).
func sign(secret []byte, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}
