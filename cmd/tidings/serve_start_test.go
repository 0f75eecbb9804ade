package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestServe_ToldToEndWhileItStartsEndsInOrder(t *testing.T) {
	for name, cause := range map[string]error{"by a signal": errors.New("terminated signal received"), "by its caller": nil} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(cause)
			var stdout, stderr bytes.Buffer
			m := Main{
				Args: []string{
					"serve", "--jwt-secret", testSecret, "--data", t.TempDir(),
					"--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--nats-listen", "127.0.0.1:0",
				},
				Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
			}
			assert.Equal(t, statusOK, m.Run(ctx), "it was asked to: %s", &stderr)
			assert.NotContains(t, stderr.String(), "tidings serve:")
		})
	}
}
