package schema_test

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/subjects"
)

var update = flag.Bool("update", false, "write the schemas of the catalogue anew")

const regenerate = "go generate ./subjects/schema"

// The committed schemas are what the Go types say. With -update they are written.
func TestCatalogue_SchemasFollowTheGoTypes(t *testing.T) {
	comments := typeComments(t, "../catalogue.go")
	var want []string
	for _, typed := range subjects.Catalogue() {
		file := filepath.Join("catalogue", typed.EventType()+".json")
		want = append(want, file)
		text := generate(t, typed, comments)
		if *update {
			require.NoError(t, os.WriteFile(file, text, 0o644))
			continue
		}
		committed, err := os.ReadFile(file)
		require.NoErrorf(t, err, "run: %s", regenerate)
		assert.Equalf(t, string(text), string(committed), "%s is stale; run: %s", file, regenerate)
	}
	files, err := filepath.Glob("catalogue/*")
	require.NoError(t, err)
	assert.ElementsMatch(t, want, files, "a file per type of the catalogue and nothing else")
}

// generate is the schema of one event type: what jsonschema-go infers, with what
// a Go type cannot say. Readers accept fields they do not know; a required string
// is not empty; an integer is one that JavaScript holds exactly; a list is absent
// rather than null.
func generate(t *testing.T, typed subjects.Typed, comments map[string]string) []byte {
	t.Helper()
	goType := reflect.TypeOf(typed)
	s, err := jsonschema.ForType(goType, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time](): {Type: "string", Format: "date-time"},
	}})
	require.NoError(t, err)
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = goType.Name()
	s.Description = comment(t, comments, goType.Name())
	refine(t, s, goType, comments)

	text, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	return append(text, '\n')
}

// refine goes through the properties of a struct's schema.
func refine(t *testing.T, s *jsonschema.Schema, goType reflect.Type, comments map[string]string) {
	t.Helper()
	s.AdditionalProperties = nil
	required := make(map[string]bool, len(s.Required))
	for _, name := range s.Required {
		required[name] = true
	}
	for field := range goType.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		property := s.Properties[name]
		require.NotNilf(t, property, "%s.%s has no property", goType.Name(), field.Name)
		property.Description = comment(t, comments, goType.Name()+"."+field.Name)

		fieldType := field.Type
		switch fieldType.Kind() { //nolint:exhaustive // the other kinds are as jsonschema-go has them
		case reflect.String:
			if required[name] {
				property.MinLength = new(1)
			}
		case reflect.Uint64:
			property.Maximum = new(float64(1<<53 - 1))
		case reflect.Map:
			property.AdditionalProperties = nil
		case reflect.Slice:
			property.Type, property.Types = "array", nil
			if element := fieldType.Elem(); element.Kind() == reflect.Struct {
				property.Items.Title = element.Name()
				property.Items.Description = comment(t, comments, element.Name())
				refine(t, property.Items, element, comments)
			}
		}
	}
}

func comment(t *testing.T, comments map[string]string, of string) string {
	t.Helper()
	text := comments[of]
	require.NotEmptyf(t, text, "%s has no comment", of)
	return text
}

// typeComments are the comments on the structs of a Go file and on their fields,
// by "Type" and "Type.Field", each as one line.
func typeComments(t *testing.T, file string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	require.NoError(t, err)
	comments := make(map[string]string)
	line := func(group *ast.CommentGroup) string { return strings.Join(strings.Fields(group.Text()), " ") }
	for _, decl := range parsed.Decls {
		general, ok := decl.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		for _, spec := range general.Specs {
			named, _ := spec.(*ast.TypeSpec)
			structure, ok := named.Type.(*ast.StructType)
			if !ok {
				continue
			}
			comments[named.Name.Name] = line(general.Doc)
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					comments[named.Name.Name+"."+name.Name] = line(field.Doc)
				}
			}
		}
	}
	return comments
}
