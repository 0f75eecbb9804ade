package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tell joins the slices, writes down the top of each profile, and shows the head of it.
func (p profiles) tell(ctx context.Context, program, dir string, out io.Writer) error {
	connect, load := filepath.Join(dir, "connect.cpu.pprof"), filepath.Join(dir, "load.cpu.pprof")
	return errors.Join(
		join(ctx, program, connect, p.connect),
		join(ctx, program, load, p.load),
		top(ctx, program, connect, "cpu", out),
		top(ctx, program, load, "cpu", out),
		top(ctx, program, p.heap, "inuse_space", out),
		top(ctx, program, p.heap, "alloc_space", out),
	)
}

// join makes one profile of slices, and removes them.
func join(ctx context.Context, program, path string, pieces []string) error {
	if len(pieces) == 0 {
		return nil // a phase that was over before the first one
	}
	if _, err := goTool(ctx, append([]string{"-proto", "-output", path, program}, pieces...)...); err != nil {
		return err
	}
	for _, piece := range pieces {
		if err := os.Remove(piece); err != nil {
			return err
		}
	}
	return nil
}

// top writes down what a profile is made of, most first, beside it; what the profiles themselves cost is left out.
func top(ctx context.Context, program, path, what string, out io.Writer) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	text, err := goTool(ctx, "-top", "-nodecount", "60", "-ignore", `^runtime/pprof\.`, "-sample_index", what, program, path)
	if err != nil {
		return err
	}
	beside := strings.TrimSuffix(path, ".pprof") + "." + what + ".txt"
	if what == "cpu" {
		beside = strings.TrimSuffix(path, ".pprof") + ".txt"
	}
	fmt.Fprintf(out, "  %s\n", beside)
	const head = 8
	_, rows, _ := strings.Cut(string(text), "cum%\n")
	shown := 0
	for row := range strings.Lines(rows) {
		if shown++; shown > head {
			break
		}
		fmt.Fprint(out, "   ", row)
	}
	return os.WriteFile(beside, text, 0o600)
}

// goTool runs go tool pprof.
func goTool(ctx context.Context, args ...string) ([]byte, error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof"}, args...)...) //nolint:gosec // our own arguments
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool pprof %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return text, nil
}
