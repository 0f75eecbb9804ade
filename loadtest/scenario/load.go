package scenario

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidingsmesh/tidings/internal/spelling"
	"github.com/tidingsmesh/tidings/loadtest/strict"
)

//go:embed bundled/*.yaml
var bundled embed.FS

const extension = ".yaml"

// Bundled lists the names of the bundled scenarios.
func Bundled() []string {
	found, _ := fs.Glob(bundled, "bundled/*"+extension) // fails on a bad pattern only
	for i, path := range found {
		found[i] = strings.TrimSuffix(filepath.Base(path), extension)
	}
	return slices.Sorted(slices.Values(found))
}

// Source is the YAML of a bundled scenario, comments included: what somebody starts from who writes one.
func Source(name string) ([]byte, error) {
	text, err := bundled.ReadFile("bundled/" + name + extension)
	if err != nil {
		return nil, unknown(name)
	}
	return text, nil
}

// Load reads a bundled scenario by its name, or a file. The error joins all that is wrong, each with file and line.
func Load(nameOrPath string) (*Scenario, error) {
	f, err := open(nameOrPath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(nameOrPath, f)
}

func open(nameOrPath string) (fs.File, error) {
	if slices.Contains(Bundled(), nameOrPath) {
		return bundled.Open("bundled/" + nameOrPath + extension)
	}
	f, err := os.Open(nameOrPath)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(nameOrPath, "./\\"):
		return nil, unknown(nameOrPath)
	case err != nil:
		return nil, fmt.Errorf("scenario: %w", err)
	}
	return f, nil
}

func unknown(name string) error {
	return fmt.Errorf("%w; bundled are %s, and a path to a file will do", spelling.Unknown("scenario", name, Bundled()), strings.Join(Bundled(), ", "))
}

// Read is Load on a text. The name stands for it in messages, and is the scenario's unless it has one of its own.
func Read(name string, from io.Reader) (*Scenario, error) {
	s := &Scenario{
		Name:   strings.TrimSuffix(filepath.Base(name), filepath.Ext(name)),
		Warmup: 5 * time.Second, Duration: 30 * time.Second, Repeat: 1,
	}
	late := false
	doc, err := strict.Read(name, from, s.fields(&late))
	if err != nil {
		return nil, err
	}
	if s.Fault != nil && !late {
		s.Fault.After = s.Duration / 3
	}
	var wrong []error
	for _, p := range s.problems() {
		wrong = append(wrong, fmt.Errorf("%s: %w", doc.Place(p.path), p.err))
	}
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}
	return s, nil
}

// fields are the keys of a file. late tells whether the fault says when it happens.
func (s *Scenario) fields(late *bool) strict.Fields {
	return strict.Fields{
		"name":         strict.Text(&s.Name),
		"description":  strict.Text(&s.Description),
		"clients":      strict.Whole(&s.Clients),
		"groups":       s.readGroups,
		"connect-rate": strict.Number(&s.ConnectRate),
		"warmup":       strict.Duration(&s.Warmup),
		"duration":     strict.Duration(&s.Duration),
		"churn":        strict.Number(&s.Churn),
		"slow": func(v strict.Value) error {
			s.Slow = &Slow{}
			return v.Mapping(strict.Fields{
				"share":            strict.Share(&s.Slow.Share),
				"bytes-per-second": strict.Size(&s.Slow.BytesPerSecond),
			})
		},
		"reconnect": strict.Bool(&s.Reconnect),
		"fault": func(v strict.Value) error {
			s.Fault = &Fault{}
			return v.Mapping(strict.Fields{
				"kind": strict.Text(&s.Fault.Kind),
				"after": func(v strict.Value) error {
					*late = true
					return strict.Duration(&s.Fault.After)(v)
				},
				"down": strict.Duration(&s.Fault.Down),
			})
		},
		"repeat": strict.Whole(&s.Repeat),
	}
}

func (s *Scenario) readGroups(v strict.Value) error {
	return v.List(func(n int) { s.Groups = make([]Group, n) }, func(i int, v strict.Value) error {
		g := &s.Groups[i]
		*g = Group{PerClient: 1, Burst: 1, Size: 200, Events: []Event{{Type: DefaultEventType, Weight: 1}}}
		return v.Mapping(strict.Fields{
			"kind":       strict.Text(&g.Kind),
			"rooms":      strict.Whole(&g.Rooms),
			"per-client": strict.Whole(&g.PerClient),
			"rate":       strict.Number(&g.Rate),
			"burst":      strict.Whole(&g.Burst),
			"size":       strict.Size(&g.Size),
			"events":     g.readEvents,
		})
	})
}

func (g *Group) readEvents(v strict.Value) error {
	return v.List(func(n int) { g.Events = make([]Event, n) }, func(i int, v strict.Value) error {
		e := &g.Events[i]
		e.Weight = 1
		return v.Mapping(strict.Fields{
			"type":   strict.Text(&e.Type),
			"weight": strict.Whole(&e.Weight),
			"fields": strict.Any(&e.Fields),
		})
	})
}
