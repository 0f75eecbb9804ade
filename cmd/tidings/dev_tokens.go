package main

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/tidingsmesh/tidings/authz"
)

const (
	maxDevTokens     = 1000    // of one request
	maxDevTokensBody = 4 << 20 // bytes
)

// devTokensRequest is the body of POST /dev/tokens.
type devTokensRequest struct {
	For []struct {
		Subject string   `json:"sub"`
		Rooms   []string `json:"rooms"` // patterns to grant
	} `json:"for"`
}

// devTokensAnswer holds a token for each of them, in their order; each lasts devTTL.
type devTokensAnswer struct {
	Tokens []string `json:"tokens"`
}

// devTokens serves POST /dev/tokens: whoever asks gets tokens for any users and rooms. tidings loadtest does. Its caller has refused
// requests from pages of other origins.
type devTokens struct{ config ServeConfig }

func (d *devTokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		devAnswer(w, http.StatusUnsupportedMediaType, devProblem{Error: errDevMedia.Error()})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDevTokensBody))
	if err != nil {
		refuseDev(w, fmt.Errorf("read the body: %w", err))
		return
	}
	var in devTokensRequest
	if err := json.Unmarshal(body, &in); err != nil || len(in.For) == 0 || len(in.For) > maxDevTokens {
		devAnswer(w, http.StatusBadRequest, devProblem{Error: fmt.Sprintf(
			`the body must be {"for":[{"sub":"carol","rooms":["campaign:42"]}]} with 1 to %d users`, maxDevTokens)})
		return
	}
	now := time.Now()
	tokens := make([]string, len(in.For))
	for i, user := range in.For {
		if tokens[i], err = authz.Sign([]byte(d.config.JWTSecret), authz.TokenClaims{
			Subject: user.Subject, Rooms: user.Rooms, Expires: now.Add(devTTL), IssuedAt: now,
			Audience: d.config.Audience, Issuer: d.config.Issuer,
		}); err != nil {
			devAnswer(w, http.StatusUnprocessableEntity, devProblem{Error: fmt.Sprintf("for[%d]: %s", i, err)})
			return
		}
	}
	devAnswer(w, http.StatusOK, devTokensAnswer{Tokens: tokens})
}
