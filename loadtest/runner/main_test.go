//go:build linux

package runner_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

// tidings is the binary under load, built once.
var tidings string

func TestMain(m *testing.M) {
	os.Exit(run(m)) //nolint:forbidigo // TestMain has no other way to tell
}

// run is this program's other half as well: the client processes of the runs that the tests start.
func run(m *testing.M) int {
	if slices.Equal(os.Args[1:], []string{"loadtest", "worker"}) {
		if err := swarm.RunWorker(context.Background(), os.Stdin, os.Stdout); err != nil {
			return 1
		}
		return 0
	}
	dir, err := os.MkdirTemp("", "tidings-runner")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tidings = filepath.Join(dir, "tidings")
	build := exec.Command("go", "build", "-o", tidings, "github.com/tidingsmesh/tidings/cmd/tidings")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return 1
	}
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}
