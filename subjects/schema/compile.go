package schema

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// base is where the schema files stand for one another: a URL of no protocol,
// so that references by name work and nothing can be fetched.
const base = "tidings:///schemas/"

// location is the URL of an event type's schema.
func location(eventType string) string { return base + url.PathEscape(eventType) + suffix }

// errOutside is what a schema gets that refers to anything but its neighbours.
var errOutside = errors.New("a schema can refer only to files of the schema folder and of the catalogue")

// outside is the loader for everything that was not read from the folder.
type outside struct{}

func (outside) Load(string) (any, error) { return nil, errOutside }

// compile builds the schemas of all files, which may refer to one another.
func compile(files map[string]file) (map[string]entry, error) {
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(outside{})

	types := slices.Sorted(maps.Keys(files))
	for _, eventType := range types {
		if err := compiler.AddResource(location(eventType), files[eventType].doc); err != nil {
			return nil, fmt.Errorf("schema %s%s: %w", eventType, suffix, err)
		}
	}
	for _, eventType := range types {
		id := absoluteID(files[eventType].doc)
		if id == "" || id == location(eventType) {
			continue
		}
		if err := compiler.AddResource(id, files[eventType].doc); err != nil {
			return nil, fmt.Errorf("schema %s%s: at /$id: %q is taken", eventType, suffix, id)
		}
	}
	entries := make(map[string]entry, len(types))
	for _, eventType := range types {
		compiled, err := compiler.Compile(location(eventType))
		if err != nil {
			return nil, compileError(eventType, err)
		}
		entries[eventType] = entry{text: files[eventType].text, compiled: compiled, builtIn: files[eventType].builtIn}
	}
	return entries, nil
}

// absoluteID is the $id of a schema if it is an absolute URL: neighbours may
// refer to it by that name.
func absoluteID(doc any) string {
	object, _ := doc.(map[string]any)
	id, _ := object["$id"].(string)
	if u, err := url.Parse(id); err != nil || !u.IsAbs() {
		return ""
	}
	return id
}

// compileError names the file and the place in it that the compiler refused. A
// file can be refused while one that refers to it is compiled. The compiler's own
// errors are worded for its URLs, so their text is kept and not the chain.
func compileError(eventType string, err error) error {
	file := eventType + suffix
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if name, ok := strings.CutPrefix(invalid.URL, base); ok {
			name, _, _ = strings.Cut(name, "#")
			if plain, err := url.PathUnescape(name); err == nil {
				file = plain
			}
		}
		if tree, ok := errors.AsType[*jsonschema.ValidationError](invalid.Err); ok {
			first, _ := firstViolation(tree)
			return fmt.Errorf("schema %s: not a valid schema: at %s: %s", file, placeName(first.place), first.problem)
		}
	}
	return fmt.Errorf("schema %s: %s", file, strings.ReplaceAll(err.Error(), base, ""))
}

// placeName is a JSON pointer as people can read it: the empty one is the whole.
func placeName(pointer string) string {
	if pointer == "" {
		return "the top"
	}
	return pointer
}
