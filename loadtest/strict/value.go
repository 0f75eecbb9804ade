package strict

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tidingsmesh/tidings/internal/bytesize"
)

// Text reads a text exactly as written: YAML's own idea of types ("no" as false) is left out.
func Text(to *string) func(Value) error {
	return func(v Value) (err error) {
		*to, err = v.scalar()
		return err
	}
}

// Whole reads a whole number.
func Whole(to *int) func(Value) error {
	return scalar(to, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%q is no whole number", text)
		}
		return n, nil
	})
}

// Number reads a number.
func Number(to *float64) func(Value) error { return scalar(to, parseNumber) }

// Share reads 5% or 0.05.
func Share(to *float64) func(Value) error {
	return scalar(to, func(text string) (float64, error) {
		digits, percent := strings.CutSuffix(text, "%")
		n, err := parseNumber(strings.TrimSpace(digits))
		switch {
		case err != nil:
			return 0, fmt.Errorf("%q is no share; write 5%% or 0.05", text)
		case percent:
			return n / 100, nil
		}
		return n, nil
	})
}

// Duration reads 30s or 1h30m.
func Duration(to *time.Duration) func(Value) error {
	return scalar(to, func(text string) (time.Duration, error) {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is no duration; write 500ms, 30s or 2h", text)
		}
		return d, nil
	})
}

// Size reads a number of bytes, 200 or 1KiB.
func Size(to *int) func(Value) error {
	return scalar(to, func(text string) (int, error) {
		var s bytesize.Size
		err := s.UnmarshalText([]byte(text))
		return int(s), err
	})
}

// Bool reads true or false.
func Bool(to *bool) func(Value) error {
	return scalar(to, func(text string) (bool, error) {
		if text != "true" && text != "false" {
			return false, fmt.Errorf("%q is neither true nor false", text)
		}
		return text == "true", nil
	})
}

// Any reads whatever there is, as a mapping from texts.
func Any(to *map[string]any) func(Value) error {
	return func(v Value) error {
		if err := v.mustBe(yaml.MappingNode, "lines of the form key: value"); err != nil {
			return err
		}
		if err := noAlias(v.node); err != nil {
			return err
		}
		return v.node.Decode(to)
	}
}

func noAlias(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		return errors.New("aliases are not read; write the value out")
	}
	for _, inner := range n.Content {
		if err := noAlias(inner); err != nil {
			return err
		}
	}
	return nil
}

// scalar is a field for one value that parse makes of its text.
func scalar[T any](to *T, parse func(string) (T, error)) func(Value) error {
	return func(v Value) error {
		text, err := v.scalar()
		if err != nil {
			return err
		}
		parsed, err := parse(text)
		if err == nil {
			*to = parsed
		}
		return err
	}
}

func (v Value) scalar() (string, error) {
	return v.node.Value, v.mustBe(yaml.ScalarNode, "one value")
}

func parseNumber(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return n, nil
}
