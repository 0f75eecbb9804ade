package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Writer appends records to a file. Each record is in the kernel's hands when Write returns, so that it
// survives the death of the process. Safe for concurrent use.
type Writer struct {
	mu   sync.Mutex
	file *os.File
}

// Create makes a new history file NAME.jsonl in a folder. The caller closes it.
func Create(dir, name string) (*Writer, error) {
	f, err := os.OpenFile(filepath.Join(dir, name+".jsonl"), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return &Writer{file: f}, nil
}

// Write appends a record and gives it the present time unless it has one.
func (w *Writer) Write(r Record) error {
	if r.Time == 0 {
		r.Time = time.Now().UnixNano()
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return nil
}

// Close closes the file.
func (w *Writer) Close() error { return w.file.Close() }

// Read calls take for every record of every *.jsonl file of a folder; the records of one file come in
// order. The last line of a file may be cut off, as a killed process leaves it, and is passed over.
func Read(dir string, take func(file string, r Record) error) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if len(paths) == 0 {
		return fmt.Errorf("history: no *.jsonl in %s", dir)
	}
	for _, path := range paths {
		if err := readFile(path, take); err != nil {
			return err
		}
	}
	return nil
}

func readFile(path string, take func(file string, r Record) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	defer func() { _ = f.Close() }()
	name := filepath.Base(path)
	lines := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF):
			return nil // what is left has no end
		case err != nil:
			return fmt.Errorf("history: %s: %w", name, err)
		}
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("history: %s:%d: %w", name, n, err)
		}
		if err := take(name, r); err != nil {
			return fmt.Errorf("history: %s:%d: %w", name, n, err)
		}
	}
}
