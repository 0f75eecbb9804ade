package schema

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tidingsmesh/tidings/subjects"
)

//go:embed catalogue/*.json
var embedded embed.FS

// Registry holds one compiled schema for each event type that has one. It is
// built by Load, never changes, and is safe for concurrent use.
type Registry struct {
	entries map[string]entry // by event type
}

// entry is the schema of one event type.
type entry struct {
	text     []byte // the file as it was read
	compiled *jsonschema.Schema
	builtIn  bool // of the catalogue
}

// Load compiles the catalogue and every *.json file in dir; an empty dir means the
// catalogue only. A file is the schema of the event type that is its name without
// ".json", as in settlement_founded.json. Subfolders, files of other names and files
// whose names begin with a dot are left alone.
//
// A schema is of draft 2020-12 unless its $schema names an older draft, and
// "format" is checked. It may refer to other files of the folder and of the
// catalogue by their names ("$ref": "entity_updated.json"), and to nothing else:
// no network, no other folder, no symbolic link that leads out of dir. A type of
// the catalogue cannot be redefined, because clients are built against it.
//
// The error names the file and, where there is one, the place in it.
func Load(dir string) (*Registry, error) {
	catalogue, err := fs.Sub(embedded, "catalogue")
	if err != nil {
		return nil, fmt.Errorf("schema catalogue: %w", err)
	}
	files, err := readFolder(catalogue)
	if err != nil {
		return nil, err
	}
	for eventType, f := range files {
		f.builtIn = true
		files[eventType] = f
	}
	if dir != "" {
		if err := addFolder(files, dir); err != nil {
			return nil, err
		}
	}
	entries, err := compile(files)
	if err != nil {
		return nil, err
	}
	return &Registry{entries: entries}, nil
}

// addFolder adds the application's files to those of the catalogue.
func addFolder(files map[string]file, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("schema folder: %w", err)
	}
	defer func() { _ = root.Close() }() // nothing was written
	own, err := readFolder(root.FS())
	if err != nil {
		return err
	}
	for _, eventType := range slices.Sorted(maps.Keys(own)) {
		if _, builtIn := files[eventType]; builtIn {
			return fmt.Errorf("schema %s%s: a type of the built-in catalogue cannot be redefined", eventType, suffix)
		}
		files[eventType] = own[eventType]
	}
	return nil
}

// Types lists the event types that have a schema, sorted.
func (r *Registry) Types() []string { return slices.Sorted(maps.Keys(r.entries)) }

// Check validates the data of e against the schema of its type. It is nil for
// every type that has none. An event without data is checked as if its data were
// null. The error is a *subjects.InvalidEventError with subjects.ReasonSchema; its
// detail gives one violation, and the place in the data as a JSON pointer.
func (r *Registry) Check(e subjects.Event) error {
	known, ok := r.entries[e.Type]
	if !ok {
		return nil
	}
	var data any
	switch {
	case e.Data != nil:
		var err error
		if data, err = jsonschema.UnmarshalJSON(bytes.NewReader(e.Data)); err != nil {
			return violation(e.Type, "", err.Error())
		}
	case e.DataBase64 != "":
		return violation(e.Type, "", "got binary, the schema is for JSON")
	}
	err := known.compiled.Validate(data)
	if err == nil {
		return nil
	}
	tree, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return violation(e.Type, "", err.Error())
	}
	first, count := firstViolation(tree)
	if count > 1 {
		first.problem += fmt.Sprintf(" (and %d more)", count-1)
	}
	return violation(e.Type, first.place, first.problem)
}
