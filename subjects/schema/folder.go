package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tidingsmesh/tidings/subjects"
)

const (
	suffix = ".json"

	// maxFile limits one schema file, in bytes.
	maxFile = 1 << 20
)

// file is one schema before it is compiled.
type file struct {
	text []byte // as it was read
	doc  any    // as JSON, numbers exact

	builtIn bool // of the catalogue
}

// readFolder reads the schema files of one folder, by event type.
func readFolder(from fs.FS) (map[string]file, error) {
	found, err := fs.ReadDir(from, ".")
	if err != nil {
		return nil, fmt.Errorf("schema folder: %w", err)
	}
	files := make(map[string]file, len(found))
	for _, f := range found {
		eventType, isSchema := strings.CutSuffix(f.Name(), suffix)
		if !isSchema || strings.HasPrefix(f.Name(), ".") || f.IsDir() {
			continue
		}
		if err := checkType(eventType); err != nil {
			return nil, fmt.Errorf("schema %s: the name is no event type: %w", f.Name(), err)
		}
		read, err := readFile(from, f.Name())
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", f.Name(), err)
		}
		files[eventType] = read
	}
	return files, nil
}

// checkType refuses file names that no event could have as its type.
func checkType(eventType string) error {
	return subjects.Event{ID: "-", Source: "-", Type: eventType}.Validate()
}

// readFile reads one schema and checks that it is JSON.
func readFile(from fs.FS, name string) (file, error) {
	info, err := fs.Stat(from, name)
	switch {
	case err != nil:
		return file{}, err
	case !info.Mode().IsRegular():
		return file{}, errors.New("not a regular file")
	case info.Size() > maxFile:
		return file{}, fmt.Errorf("%d bytes, the limit is %d", info.Size(), maxFile)
	}
	text, err := fs.ReadFile(from, name)
	if err != nil {
		return file{}, err
	}
	if !utf8.Valid(text) {
		return file{}, errors.New("not valid UTF-8")
	}
	if err := json.Unmarshal(text, new(any)); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			line, column := position(text, syntax.Offset)
			return file{}, fmt.Errorf("line %d, column %d: %w", line, column, err)
		}
		return file{}, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return file{}, err
	}
	return file{text: text, doc: doc}, nil
}

// position is the line and the column in bytes, both from 1, of the byte before
// offset: encoding/json has read the byte that it stumbles over.
func position(text []byte, offset int64) (line, column int) {
	before := text[:min(max(offset-1, 0), int64(len(text)))]
	line = 1 + bytes.Count(before, []byte("\n"))
	return line, len(before) - bytes.LastIndexByte(before, '\n')
}
