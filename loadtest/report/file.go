package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Load reads a result that Save wrote.
func Load(path string) (*Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("result: %w", err)
	}
	defer f.Close()
	return Read(path, f)
}

// Read is Load on a text. The name stands for it in messages.
func Read(name string, from io.Reader) (*Result, error) {
	text, err := io.ReadAll(from)
	if err != nil {
		return nil, fmt.Errorf("result %s: %w", name, err)
	}
	var head struct {
		Format *int `json:"format"`
	}
	switch err := json.Unmarshal(text, &head); {
	case err != nil:
		return nil, fmt.Errorf("result %s: not the JSON of a load test: %w", name, err)
	case head.Format == nil:
		return nil, fmt.Errorf("result %s: not the JSON of a load test: it has no format", name)
	case *head.Format != Format:
		return nil, fmt.Errorf("result %s: format %d, this version reads %d; measure again, or use the version that wrote it", name, *head.Format, Format)
	}
	r := &Result{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("result %s: %w", name, err)
	}
	if len(r.Runs) == 0 {
		return nil, fmt.Errorf("result %s: holds no run", name)
	}
	return r, nil
}

// Write writes the result as JSON.
func (r *Result) Write(w io.Writer) error {
	r.Format = Format
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Save writes a file that was made by write, over one that is there.
func Save(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
