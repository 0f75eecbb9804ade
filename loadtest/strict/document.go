// Package strict reads YAML files of the load test with nothing overlooked: keys that nothing reads, keys given twice, values of another
// kind. Everything that is wrong is reported at once, each with its file and line.
package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tidingsmesh/tidings/internal/spelling"
)

// MaxBytes bounds a file, so that a wrong path (a log, a device) is refused and not read to its end.
const MaxBytes = 1 << 20

// Fields says what reads the value of each key of a mapping.
type Fields map[string]func(Value) error

// Document is a file that was read. It remembers where everything was written, for what is found wrong later.
type Document struct {
	name  string
	lines map[string]int // by path: "groups[0].rate"
	wrong []error
}

// Value is one value in a Document.
type Value struct {
	doc  *Document
	node *yaml.Node
	path string
}

// Read reads a file of one mapping. The name stands for it in messages. The error joins all that is wrong.
func Read(name string, from io.Reader, fields Fields) (*Document, error) {
	text, err := io.ReadAll(io.LimitReader(from, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, MaxBytes)
	}
	root, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d := &Document{name: name, lines: map[string]int{"": root.Line}}
	d.report("", Value{d, root, ""}.Mapping(fields))
	return d, errors.Join(d.wrong...)
}

// parse makes sure that there is one document; an empty one is an empty mapping.
func parse(text []byte) (*yaml.Node, error) {
	empty := &yaml.Node{Kind: yaml.MappingNode, Line: 1}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return empty, nil
	case err != nil:
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document")
	}
	root := document.Content[0]
	if isNull(root) {
		return empty, nil
	}
	return root, nil
}

// Place names where path was written, or what is around it when it was left out: "wide.yaml:7: groups[0].rate".
func (d *Document) Place(path string) string {
	place := fmt.Sprintf("%s:%d", d.name, d.line(path))
	if path == "" {
		return place
	}
	return place + ": " + path
}

func (d *Document) line(path string) int {
	for {
		if line, ok := d.lines[path]; ok {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

func (d *Document) report(path string, err error) {
	if err != nil {
		d.wrong = append(d.wrong, fmt.Errorf("%s: %w", d.Place(path), err))
	}
}

// Mapping reads a mapping key by key. What is wrong inside is reported to the document and is not in the error.
func (v Value) Mapping(fields Fields) error {
	if err := v.mustBe(yaml.MappingNode, "lines of the form key: value"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key, value := v.node.Content[i], v.node.Content[i+1]
		path := strings.TrimPrefix(v.path+"."+key.Value, ".")
		read, known := fields[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || !known:
			v.doc.wrong = append(v.doc.wrong, fmt.Errorf("%s:%d: %w", v.doc.name, key.Line, spelling.Unknown("key", path, v.siblings(fields))))
		case seen[key.Value]:
			v.doc.wrong = append(v.doc.wrong, fmt.Errorf("%s:%d: %s: given before, at line %d", v.doc.name, key.Line, path, v.doc.lines[path]))
		default:
			seen[key.Value] = true
			v.doc.lines[path] = key.Line
			v.doc.report(path, Value{v.doc, value, path}.read(read))
		}
	}
	return nil
}

// siblings are the paths of all keys that could stand here.
func (v Value) siblings(fields Fields) []string {
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		paths = append(paths, strings.TrimPrefix(v.path+"."+name, "."))
	}
	return paths
}

// List reads a list element by element; begin is called once before, with how many there are.
func (v Value) List(begin func(n int), element func(i int, v Value) error) error {
	if err := v.mustBe(yaml.SequenceNode, "a list"); err != nil {
		return err
	}
	begin(len(v.node.Content))
	for i, node := range v.node.Content {
		path := fmt.Sprintf("%s[%d]", v.path, i)
		v.doc.lines[path] = node.Line
		v.doc.report(path, Value{v.doc, node, path}.read(func(v Value) error { return element(i, v) }))
	}
	return nil
}

// read leaves out what no field takes.
func (v Value) read(field func(Value) error) error {
	switch {
	case v.node.Kind == yaml.AliasNode || v.node.Anchor != "":
		return errors.New("anchors and aliases are not read; write the value out")
	case isNull(v.node):
		return errors.New("has no value; leave the line out to keep the default")
	}
	return field(v)
}

func (v Value) mustBe(kind yaml.Kind, what string) error {
	if v.node.Kind != kind {
		return fmt.Errorf("expected %s", what)
	}
	return nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
