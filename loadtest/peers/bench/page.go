package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/rounds"
)

// plots are columns of the whole table that are drawn as well.
var plots = map[string]string{
	"wide, per delivery": "wide.svg", "narrow, per delivery": "narrow.svg", "narrow, p99": "latency.svg",
	"memory per idle connection": "memory.svg", "CPU per join": "join.svg", "all back after kill -9": "kill.svg",
}

// publish writes everything, and prints the tables.
func (b *bench) publish(p *rounds.Page, out io.Writer) error {
	ratios, err := b.ratios()
	if err != nil {
		return err
	}
	whole, err := b.whole()
	if err != nil {
		return err
	}
	folder := filepath.Join(filepath.Dir(p.Path()), "benchmarks")
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // documentation
		return err
	}
	var text bytes.Buffer
	write := func(format string, args ...any) { _, _ = fmt.Fprintf(&text, format, args...) }
	write("%s\n", b.circumstances())
	write("### Against the floor\n\nCPU of the server's process alone, NATS outside of it. Small print: the range over the rounds, and the multiple of the floor.\n\n")
	_ = ratios.WriteMarkdown(&text) // a buffer takes all
	write("\n### Against what one would use instead\n\nCPU of all processes, brokers included; ✗ is a target that was not met.\n\n")
	_ = whole.WriteMarkdown(&text)
	write("\n")
	for _, c := range whole.Columns {
		file, drawn := plots[c.Title]
		if !drawn {
			continue
		}
		write("![%s](benchmarks/%s)\n", c.Title, file)
		if err := report.Save(filepath.Join(folder, file), func(w io.Writer) error { return whole.WriteBars(w, c) }); err != nil {
			return err
		}
	}
	if remarks := b.remarks(); len(remarks) > 0 {
		write("\nWhat went wrong on the way:\n\n")
		for _, remark := range remarks {
			write("- %s\n", remark)
		}
	}
	if _, err := out.Write(text.Bytes()); err != nil {
		return err
	}
	if err := report.Save(filepath.Join(folder, "peers.json"), b.writeJSON); err != nil {
		return err
	}
	return p.Replace(text.String())
}

// circumstances tell where, when, how, and the versions.
func (b *bench) circumstances() string {
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "%s. %s. Rounds: %d, clients: %d", b.machine, b.began.UTC().Format(time.DateOnly), b.cfg.rounds, b.cfg.clients)
	if b.cfg.quick {
		text.WriteString(", **quick: to see that it runs, not to quote**")
	}
	text.WriteString(".\n\n| server | version | with |\n| --- | --- | --- |\n")
	for _, c := range b.contestants {
		var with []string
		for _, key := range slices.Sorted(maps.Keys(c.about.Settings)) {
			if value := c.about.Settings[key]; value != "" {
				with = append(with, key+": "+value)
			}
		}
		_, _ = fmt.Fprintf(&text, "| %s | %s | %s |\n", c.name, c.about.Version, strings.Join(with, ", "))
	}
	return text.String()
}

// writeJSON is all that was measured.
func (b *bench) writeJSON(w io.Writer) error {
	if len(b.results) == 0 {
		return errors.New("nothing was measured")
	}
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(struct {
		Began   time.Time        `json:"began"`
		Rounds  int              `json:"rounds"`
		Clients int              `json:"clients"`
		Quick   bool             `json:"quick,omitempty"`
		Results []*report.Result `json:"results"`
	}{b.began.UTC(), b.cfg.rounds, b.cfg.clients, b.cfg.quick, b.results})
}
