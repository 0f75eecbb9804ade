package peers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Tools finds or builds the programs that targets are made of, into the folder .bin of the repository, each once. It is for one
// goroutine at a time.
type Tools struct {
	root  string            // of the repository
	built map[string]string // paths by package
}

// NewTools takes the folder of the repository.
func NewTools(root string) *Tools { return &Tools{root: root, built: map[string]string{}} }

// Build compiles a package of the repository, or one that it depends on, and returns the program's path.
func (t *Tools) Build(ctx context.Context, pkg string) (string, error) {
	return t.build(ctx, t.root, pkg)
}

// natsServer is of the version in go.mod.
func (t *Tools) natsServer(ctx context.Context) (program, error) {
	path, err := t.Build(ctx, "github.com/nats-io/nats-server/v2")
	if err != nil {
		return program{}, err
	}
	return described(ctx, path, "--version")
}

// centrifugo is of the version in go.mod of the folder centrifugo. What it says of its version is true for released programs only.
func (t *Tools) centrifugo(ctx context.Context) (program, error) {
	const module = "github.com/centrifugal/centrifugo/v6"
	folder := filepath.Join(t.folder(), "centrifugo")
	path, err := t.build(ctx, folder, module)
	if err != nil {
		return program{}, err
	}
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", module)
	list.Dir = folder
	version, err := list.Output()
	if err != nil {
		return program{}, fmt.Errorf("version of Centrifugo: %w", err)
	}
	return program{path: path, version: strings.TrimPrefix(strings.TrimSpace(string(version)), "v")}, nil
}

func (t *Tools) redis(ctx context.Context) (program, error) {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return program{}, fmt.Errorf("redis-server: %w: make system does it on Debian and Ubuntu", ErrNotInstalled)
	}
	return described(ctx, path, "--version")
}

// node is Node and the folder of the Socket.IO programs.
func (t *Tools) node(ctx context.Context) (node program, folder string, err error) {
	path, err := exec.LookPath("node")
	if err != nil {
		return program{}, "", fmt.Errorf("node: %w: make system does it on Debian and Ubuntu", ErrNotInstalled)
	}
	folder = filepath.Join(t.folder(), "socketio")
	if _, err := os.Stat(filepath.Join(folder, "node_modules", "socket.io")); err != nil {
		return program{}, "", fmt.Errorf("socket.io: %w: run npm ci in loadtest/peers/socketio", ErrNotInstalled)
	}
	node, err = described(ctx, path, "--version")
	return node, folder, err
}

func (t *Tools) folder() string { return filepath.Join(t.root, "loadtest", "peers") }

func (t *Tools) build(ctx context.Context, folder, pkg string) (string, error) {
	if path, done := t.built[pkg]; done {
		return path, nil
	}
	name := filepath.Base(strings.TrimSuffix(strings.TrimSuffix(pkg, "/v2"), "/v6"))
	path := filepath.Join(t.root, ".bin", name)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, pkg)
	cmd.Dir = folder
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", pkg, err, bytes.TrimSpace(text))
	}
	t.built[pkg] = path
	return path, nil
}

// program is one that can be run.
type program struct {
	path    string
	version string
}

// described asks a program for its version and keeps the number.
func described(ctx context.Context, path, flag string) (program, error) {
	text, err := exec.CommandContext(ctx, path, flag).Output()
	if err != nil {
		return program{}, fmt.Errorf("version of %s: %w", path, err)
	}
	return program{path: path, version: number(string(text))}, nil
}

// number is the first version number of a text: "7.0.15" of "Redis server v=7.0.15 sha=…".
func number(text string) string {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }) {
		if word = strings.Trim(word, "."); strings.Count(word, ".") >= 2 {
			return word
		}
	}
	return strings.TrimSpace(text)
}
