package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// CatalogueTypeScript is the TypeScript of the built-in catalogue: an interface for
// each event type's data, and one that maps event types to them. The client
// library is made with it.
func (r *Registry) CatalogueTypeScript() (string, error) {
	w := &typeWriter{registry: r, names: map[string]string{}}
	types := r.typesThat(func(e entry) bool { return e.builtIn })
	if err := w.declare(types); err != nil {
		return "", err
	}
	w.out.WriteString("\n/** The data of each event type of the built-in catalogue. */\n")
	w.mapping("", "Catalogue", types)
	return generatedBy + w.out.String(), nil
}

// TypeScript is the TypeScript of an application's own event types, for programs
// that use the client library: an interface for each, and the event map extended
// by them. What a schema says beyond types, such as bounds and patterns, is left to
// the edge.
func (r *Registry) TypeScript() (string, error) {
	w := &typeWriter{registry: r, names: map[string]string{}}
	types := r.typesThat(func(e entry) bool { return !e.builtIn })
	if err := w.declare(types); err != nil {
		return "", err
	}
	w.out.WriteString("\ndeclare module \"" + clientPackage + "\" {\n")
	w.mapping("  ", "EventMap", types)
	w.out.WriteString("}\n")
	// The import makes the file a module, which an extension of another one has to be in.
	used := slices.Sorted(maps.Keys(w.imports))
	head := "import type { " + strings.Join(used, ", ") + " } from \"" + clientPackage + "\";\n"
	if len(used) == 0 {
		head = "import \"" + clientPackage + "\";\n"
	}
	return generatedBy + head + w.out.String(), nil
}

const (
	clientPackage = "@tidings/client"
	generatedBy   = "// Made by `tidings events gen`. Do not edit.\n"
	anything      = "unknown"
)

func (r *Registry) typesThat(want func(entry) bool) []string {
	return slices.DeleteFunc(r.Types(), func(t string) bool { return !want(r.entries[t]) })
}

// typeWriter writes declarations. A schema that is an object with a title becomes an
// interface of that name; everything else stands where it is used.
type typeWriter struct {
	registry *Registry
	out      strings.Builder
	names    map[string]string   // of the interfaces written: what their schema is, as text
	imports  map[string]struct{} // interfaces of the catalogue that are referred to
	root     map[string]any      // the file being written, for references into it
	depth    int                 // of references within it
}

// declare writes an interface for each event type.
func (w *typeWriter) declare(eventTypes []string) error {
	w.imports = map[string]struct{}{}
	for _, eventType := range eventTypes {
		doc, name, err := w.registry.document(eventType)
		if err != nil {
			return err
		}
		w.root = doc
		if !isObject(doc) {
			fmt.Fprintf(&w.out, "\n%sexport type %s = %s;\n", comment("", doc["description"]), name, w.expression("", doc, true))
			continue
		}
		if err := w.declareObject(name, doc); err != nil {
			return fmt.Errorf("schema %s%s: %w", eventType, suffix, err)
		}
	}
	return nil
}

// document is the schema of an event type and the name of its interface: its title, or the event type in camel case.
func (r *Registry) document(eventType string) (map[string]any, string, error) {
	var doc any
	if err := json.Unmarshal(r.entries[eventType].text, &doc); err != nil {
		return nil, "", fmt.Errorf("schema %s%s: %w", eventType, suffix, err)
	}
	object, _ := doc.(map[string]any) // a schema can be true, too: anything
	name, ok := object["title"].(string)
	if !ok || !identifier.MatchString(name) {
		name = camelCase(eventType)
	}
	return object, name, nil
}

var identifier = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

func camelCase(eventType string) string {
	var b strings.Builder
	upper := true
	for _, c := range eventType {
		if c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			upper = true
			continue
		}
		if b.Len() == 0 && unicode.IsDigit(c) {
			b.WriteByte('E')
		}
		if upper {
			c = unicode.ToUpper(c)
		}
		b.WriteRune(c)
		upper = false
	}
	if b.Len() == 0 {
		return "Event"
	}
	return b.String()
}

// declareObject writes an interface, and before it those that it refers to.
func (w *typeWriter) declareObject(name string, doc map[string]any) error {
	text := fmt.Sprint(doc)
	if written, ok := w.names[name]; ok {
		if written != text {
			return fmt.Errorf("two different objects have the title %q", name)
		}
		return nil
	}
	w.names[name] = text
	if err := w.declareTitled(doc); err != nil {
		return err
	}
	fmt.Fprintf(&w.out, "\n%sexport interface %s %s\n", comment("", doc["description"]), name, w.members("", doc))
	return nil
}

// declareTitled writes the interfaces of the titled objects within a schema.
func (w *typeWriter) declareTitled(value any) error {
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if err := w.declareWithin(value[key]); err != nil {
				return err
			}
		}
	case []any:
		for _, item := range value {
			if err := w.declareWithin(item); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *typeWriter) declareWithin(value any) error {
	if object, ok := value.(map[string]any); ok {
		if name := titleOf(object); name != "" {
			return w.declareObject(name, object)
		}
	}
	return w.declareTitled(value)
}

// titleOf is the name of the interface that a schema within another one becomes, or "".
func titleOf(doc map[string]any) string {
	name, _ := doc["title"].(string)
	if !isObject(doc) || !identifier.MatchString(name) {
		return ""
	}
	return name
}

// isObject reports whether a schema lists the members of an object.
func isObject(doc map[string]any) bool {
	_, listed := doc["properties"].(map[string]any)
	return listed && (doc["type"] == nil || doc["type"] == "object")
}

// mapping writes the interface that maps event types to their data.
func (w *typeWriter) mapping(indent, name string, eventTypes []string) {
	fmt.Fprintf(&w.out, "%sexport interface %s {\n", indent, name)
	for _, eventType := range eventTypes {
		_, data, err := w.registry.document(eventType)
		if err != nil {
			continue // unreachable: it was declared before
		}
		fmt.Fprintf(&w.out, "%s  %s: %s;\n", indent, key(eventType), data)
	}
	w.out.WriteString(indent + "}\n")
}

// members is the body of an object: what is required first, then by name.
func (w *typeWriter) members(indent string, doc map[string]any) string {
	properties, _ := doc["properties"].(map[string]any)
	required, _ := doc["required"].([]any)
	optional := func(name string) int {
		if slices.Contains(required, any(name)) {
			return 0
		}
		return 1
	}
	names := slices.SortedFunc(maps.Keys(properties), func(a, b string) int {
		if d := optional(a) - optional(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	b.WriteString("{\n")
	for _, name := range names {
		property, _ := properties[name].(map[string]any)
		fmt.Fprintf(&b, "%s%s  %s%s: %s;\n", comment(indent+"  ", property["description"]), indent, key(name), []string{"", "?"}[optional(name)],
			w.expression(indent+"  ", properties[name], false))
	}
	b.WriteString(indent + "}")
	return b.String()
}

// expression is the type that a schema stands for. What is not understood is unknown, which is never wrong.
func (w *typeWriter) expression(indent string, value any, top bool) string {
	doc, ok := value.(map[string]any)
	if !ok {
		return anything
	}
	if name := titleOf(doc); name != "" && !top {
		return name
	}
	if ref, ok := doc["$ref"].(string); ok {
		return w.reference(indent, ref)
	}
	if value, ok := doc["const"]; ok {
		return literals([]any{value})
	}
	if values, ok := doc["enum"].([]any); ok {
		return literals(values)
	}
	for _, union := range []string{"oneOf", "anyOf"} {
		if parts, ok := doc[union].([]any); ok {
			return w.union(indent, parts)
		}
	}
	switch kind := doc["type"].(type) {
	case string:
		return w.plain(indent, kind, doc)
	case []any:
		return joined(kind, func(k any) string { s, _ := k.(string); return w.plain(indent, s, doc) })
	}
	if isObject(doc) {
		return w.members(indent, doc)
	}
	return anything
}

func (w *typeWriter) plain(indent, kind string, doc map[string]any) string {
	switch kind {
	case "string", "boolean", "null":
		return kind
	case "integer", "number":
		return "number"
	case "array":
		return "Array<" + w.expression(indent, doc["items"], false) + ">"
	case "object":
		if isObject(doc) {
			return w.members(indent, doc)
		}
		return "Record<string, " + w.expression(indent, doc["additionalProperties"], false) + ">"
	}
	return anything
}

// reference follows a $ref: to another event type by its file's name, or to a place in this file.
func (w *typeWriter) reference(indent, ref string) string {
	if eventType, ok := strings.CutSuffix(ref, suffix); ok {
		known, ok := w.registry.entries[eventType]
		if !ok {
			return anything
		}
		_, name, err := w.registry.document(eventType)
		if err != nil {
			return anything
		}
		if _, written := w.names[name]; known.builtIn && !written {
			w.imports[name] = struct{}{}
		}
		return name
	}
	pointer, ok := strings.CutPrefix(ref, "#/")
	if !ok || w.depth > 8 {
		return anything // a schema that refers to itself
	}
	var at any = w.root
	for part := range strings.SplitSeq(pointer, "/") {
		object, _ := at.(map[string]any)
		at = object[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	w.depth++
	defer func() { w.depth-- }()
	return w.expression(indent, at, false)
}

func (w *typeWriter) union(indent string, parts []any) string {
	return joined(parts, func(part any) string { return w.expression(indent, part, false) })
}

// joined is a union of what each is, each once; with anything in it, it is anything.
func joined(parts []any, each func(any) string) string {
	var kinds []string
	for _, part := range parts {
		if kind := each(part); !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 || slices.Contains(kinds, anything) {
		return anything
	}
	return strings.Join(kinds, " | ")
}

func literals(values []any) string {
	return joined(values, func(value any) string {
		switch value.(type) {
		case map[string]any, []any:
			return anything
		}
		text, err := json.Marshal(value)
		if err != nil {
			return anything // unreachable: it was read as JSON
		}
		return string(text)
	})
}

// key is the name of a member as TypeScript writes it.
func key(name string) string {
	if identifier.MatchString(name) {
		return name
	}
	text, err := json.Marshal(name)
	if err != nil {
		return `""` // unreachable: it is a string
	}
	return string(text)
}

// comment is a description as a line of TSDoc.
func comment(indent string, description any) string {
	text, ok := description.(string)
	if !ok {
		return ""
	}
	text = strings.Join(strings.Fields(strings.ReplaceAll(text, "*/", "*\\/")), " ")
	return indent + "/** " + text + " */\n"
}
