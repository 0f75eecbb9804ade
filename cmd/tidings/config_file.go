package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/tidingsmesh/tidings/internal/spelling"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// maxConfigFile bounds the file in bytes, so that a wrong path (a log, a device) is refused and not read to its end.
const maxConfigFile = 1 << 20

// readConfigFile reads the YAML file at path: one flat mapping whose keys are names of flags. Everything that is wrong is
// reported at once, each with its line.
func readConfigFile(path string, flags map[string]*kong.Flag) (layer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	if len(text) > maxConfigFile {
		return nil, fmt.Errorf("configuration file %s is larger than 1 MiB", path)
	}
	return parseConfigFile(path, string(text), flags)
}

// parseConfigFile is readConfigFile on a text already read; name stands for the file in messages.
func parseConfigFile(name, text string, flags map[string]*kong.Flag) (layer, error) {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return layer{}, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: holds more than one YAML document", name)
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return layer{}, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: expected lines of the form key: value", name, root.Line)
	}
	l := layer{}
	var wrong problems
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		place := fmt.Sprintf("%s:%d", name, key.Line)
		flag, ok := flags[key.Value]
		if !ok {
			wrong = append(wrong, &settingError{place, spelling.Unknown("key", key.Value, slices.Collect(maps.Keys(flags)))})
			continue
		}
		s := setting{origin: place + ": " + flag.Name}
		if first, twice := l[flag.Name]; twice {
			wrong = append(wrong, &settingError{s.origin, fmt.Errorf("given before, at %s", first.origin)})
			continue
		}
		var err error
		if s.values, err = scalars(value, flag.IsSlice()); err != nil {
			wrong = append(wrong, &settingError{s.origin, err})
			continue
		}
		l[flag.Name] = s
	}
	return l, wrong.asError()
}

// scalars is a value as text, exactly as written: YAML's own idea of types (a port as a number, "no" as false) is left
// out, the flag decides.
func scalars(node *yaml.Node, list bool) ([]string, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return nil, errors.New("has no value; leave the line out to keep the default")
	case node.Kind == yaml.ScalarNode:
		return []string{node.Value}, nil
	case node.Kind == yaml.MappingNode:
		return nil, errors.New("takes no nested keys; all keys are flat, as the flags are")
	case !list:
		return nil, errors.New("takes one value, not a list")
	}
	values := []string{}
	for _, item := range node.Content {
		value, err := scalars(item, false)
		if err != nil {
			return nil, err
		}
		values = append(values, value...)
	}
	return values, nil
}
