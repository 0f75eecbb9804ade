package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// layer is what one source outside the command line sets, by flag name. It is a kong.Resolver.
type layer map[string]setting

// setting is one value as text, with the place it was written at.
type setting struct {
	values []string // a flag that is no list has exactly one
	origin string   // "TIDINGS_PING" or "tidings.yaml:7: ping"
}

// Validate has nothing to do: a layer is checked when it is read.
func (l layer) Validate(*kong.Application) error { return nil }

// Resolve decodes the value once on trial, because only here the error can name the place it came from.
func (l layer) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	s, ok := l[flag.Name]
	if !ok {
		return nil, nil
	}
	if flag.IsSlice() {
		list := make([]any, len(s.values))
		for i, v := range s.values {
			list[i] = v
		}
		return list, nil
	}
	value := s.values[0]
	if flag.Enum != "" && !flag.EnumMap()[value] {
		return nil, &settingError{s.origin, fmt.Errorf("%q is none of %s", value, strings.Join(flag.EnumSlice(), ", "))}
	}
	scan := kong.Scan().PushTyped(value, kong.FlagValueToken)
	trial := reflect.New(flag.Target.Type()).Elem()
	if err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, trial); err != nil {
		return nil, &settingError{s.origin, err}
	}
	return value, nil
}

// origins tells of every flag of the chosen subcommand where its value was written, for messages and for config print.
type origins struct {
	written map[string]string // flag name → place; a flag at its default is missing
}

func newOrigins(kctx *kong.Context, layers []layer) origins {
	o := origins{written: map[string]string{}}
	for _, flag := range kctx.Flags() {
		for _, l := range layers {
			if s, ok := l[flag.Name]; ok {
				o.written[flag.Name] = s.origin
			}
		}
	}
	for _, path := range kctx.Path {
		if path.Flag != nil && !path.Resolved {
			o.written[path.Flag.Name] = "--" + path.Flag.Name
		}
	}
	return o
}

// given says whether the flag has been set anywhere, rather than left at its default.
func (o origins) given(flag string) bool {
	_, ok := o.written[flag]
	return ok
}

// of is the place a value was written at, or the flag itself when it is at its default.
func (o origins) of(flag string) string {
	if place, ok := o.written[flag]; ok {
		return place
	}
	return "--" + flag
}

// errorf is a settingError that names where the flag's value came from.
func (o origins) errorf(flag, format string, args ...any) error {
	return &settingError{o.of(flag), fmt.Errorf(format, args...)}
}
