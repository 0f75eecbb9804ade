package peers_test

import (
	"context"
	"os"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

// worker makes this test binary a worker of a swarm.
const worker = "as-worker"

func TestMain(m *testing.M) {
	if slices.Contains(os.Args, worker) {
		if err := swarm.RunWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			panic(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}
