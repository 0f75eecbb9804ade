package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tidingsmesh/tidings/internal/spelling"
	"github.com/tidingsmesh/tidings/loadtest/strict"
)

//go:embed slo.yaml
var defaultSLO []byte

// SLO is what a target has to reach: service level objectives.
type SLO struct {
	Name       string
	Objectives []Objective // in the order of the file
}

// Objective bounds one metric.
type Objective struct {
	Metric Metric
	Bound  Bound
	Value  float64 // in the base of the metric's unit
}

// Bound is how a value is compared.
type Bound string

// Bounds as files write them; Exactly is written as nothing.
const (
	Above   Bound = "above"
	AtLeast Bound = "at least"
	Below   Bound = "below"
	AtMost  Bound = "at most"
	Exactly Bound = ""
)

var bounds = []Bound{Above, AtLeast, Below, AtMost}

// DefaultSLO is that of a campaign manager for real people: nearly everyone gets in, comes back within seconds, sees an event in a tenth
// of a second, and misses none.
func DefaultSLO() *SLO {
	s, err := ReadSLO("slo.yaml", bytes.NewReader(defaultSLO))
	if err != nil {
		panic(err) // a test reads it
	}
	s.Name = "default"
	return s
}

// DefaultSLOSource is the YAML of DefaultSLO, comments included.
func DefaultSLOSource() []byte { return bytes.Clone(defaultSLO) }

// LoadSLO reads a YAML file. The error joins all that is wrong, each with file and line.
func LoadSLO(path string) (*SLO, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("objectives: %w", err)
	}
	defer f.Close()
	return ReadSLO(path, f)
}

// ReadSLO is LoadSLO on a text. The name stands for it in messages.
func ReadSLO(name string, from io.Reader) (*SLO, error) {
	s := &SLO{Name: name}
	fields := strict.Fields{}
	for _, m := range metrics {
		fields[m.Name] = func(v strict.Value) error {
			var text string
			if err := strict.Text(&text)(v); err != nil {
				return err
			}
			o, err := parseObjective(m, text)
			s.Objectives = append(s.Objectives, o)
			return err
		}
	}
	if _, err := strict.Read(name, from, fields); err != nil {
		return nil, err
	}
	if len(s.Objectives) == 0 {
		return nil, fmt.Errorf("%s: holds no objective", name)
	}
	return s, nil
}

// ParseObjective reads "latency-p95 below 100ms".
func ParseObjective(text string) (Objective, error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	m, ok := metric(name)
	if !ok {
		var names []string
		for _, m := range metrics {
			names = append(names, m.Name)
		}
		return Objective{}, spelling.Unknown("metric", name, names)
	}
	o, err := parseObjective(m, rest)
	if err != nil {
		return o, fmt.Errorf("%s: %w", name, err)
	}
	return o, nil
}

func parseObjective(m Metric, text string) (Objective, error) {
	o := Objective{Metric: m}
	text = strings.TrimSpace(text)
	for _, b := range bounds {
		if rest, ok := strings.CutPrefix(text, string(b)+" "); ok {
			o.Bound, text = b, strings.TrimSpace(rest)
			break
		}
	}
	if text == "" || o.Bound == Exactly && !strings.ContainsAny(text[:1], "0123456789") {
		return o, errors.New("write above, at least, below or at most and a value, or the very value: below 100ms, 0")
	}
	var err error
	o.Value, err = m.Unit.parse(text)
	return o, err
}

// String is the objective without its metric: "below 100 ms".
func (o Objective) String() string {
	return strings.TrimSpace(string(o.Bound) + " " + o.Metric.Unit.Text(o.Value))
}

func (o Objective) met(v float64) bool {
	switch o.Bound {
	case Above:
		return v > o.Value
	case AtLeast:
		return v >= o.Value
	case Below:
		return v < o.Value
	case AtMost:
		return v <= o.Value
	case Exactly:
		return v == o.Value
	}
	return false
}

// further says whether v is the worse of two values, seen from the objective.
func (o Objective) further(v, than float64) bool {
	switch o.Bound {
	case Above, AtLeast:
		return v < than
	case Below, AtMost:
		return v > than
	case Exactly:
		return max(v-o.Value, o.Value-v) > max(than-o.Value, o.Value-than)
	}
	return false
}

// Verdict is whether a result meets its objectives. Each run has to.
type Verdict struct {
	SLO     string    `json:"slo"`
	Met     bool      `json:"met"`
	Reasons []string  `json:"reasons,omitempty"` // why not, beside the lines
	Lines   []Outcome `json:"lines"`
}

// Outcome is what became of one objective.
type Outcome struct {
	Metric    string  `json:"metric"`
	Title     string  `json:"title"`
	Objective string  `json:"objective"` // for people: "below 100 ms"
	Measured  bool    `json:"measured"`  // what was not measured neither meets nor breaks an objective
	Value     float64 `json:"value"`     // of the run that is furthest off, in seconds, bytes or shares
	Text      string  `json:"text"`      // Value for people
	Run       int     `json:"run"`       // from 1
	Met       bool    `json:"met"`
}

// Judge compares every run with every objective. A run that ended early, and one of which nothing could be judged, meet nothing.
func (s *SLO) Judge(r *Result) Verdict {
	v := Verdict{SLO: s.Name, Met: true}
	judged := false
	for _, o := range s.Objectives {
		line := o.judge(r)
		judged = judged || line.Measured
		v.Met = v.Met && line.Met
		v.Lines = append(v.Lines, line)
	}
	for i := range r.Runs {
		if r.Runs[i].Error != "" {
			v.Reasons = append(v.Reasons, fmt.Sprintf("run %d ended early: %s", i+1, r.Runs[i].Error))
		}
	}
	if !judged {
		v.Reasons = append(v.Reasons, "nothing that the objectives speak of was measured")
	}
	v.Met = v.Met && len(v.Reasons) == 0
	return v
}

func (o Objective) judge(r *Result) Outcome {
	line := Outcome{Metric: o.Metric.Name, Title: o.Metric.Title, Objective: o.String(), Text: "not measured", Met: true}
	for i := range r.Runs {
		v, ok := o.Metric.Of(&r.Runs[i])
		if ok && (!line.Measured || o.further(v, line.Value)) {
			line.Measured, line.Value, line.Run = true, v, i+1
		}
	}
	if line.Measured {
		line.Met = o.met(line.Value)
		line.Text = o.Metric.Unit.Text(line.Value)
	}
	return line
}
