package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/rounds"
)

// publish writes tables, plots and numbers, and prints the tables.
func (s *study) publish(p *rounds.Page, out io.Writer) error {
	folder := filepath.Join(filepath.Dir(p.Path()), "scaling")
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // documentation
		return err
	}
	var text bytes.Buffer
	s.circumstances(&text)
	s.connectionsAndRooms(&text)
	s.membersPerRoom(&text)
	s.twoEdges(&text)
	s.edgesAtNATS(&text)
	s.manyRooms(&text)
	s.connections(&text)
	s.sizing(&text)
	if len(s.remarks) > 0 {
		text.WriteString("\nWhat went wrong on the way:\n\n")
		for _, remark := range slices.Compact(s.remarks) {
			text.WriteString("- " + remark + "\n")
		}
	}
	for file, plot := range map[string]struct {
		steps []step
		name  string
	}{
		"tens.svg": {s.series(tens), edgeDelivery}, "spread.svg": {s.shares(), edgeDelivery}, "nats.svg": {s.series(followers), natsEvent},
	} {
		m := s.matrix(plot.steps, plot.name)
		if err := report.Save(filepath.Join(folder, file), func(w io.Writer) error { return m.WriteBars(w, m.Columns[0]) }); err != nil {
			return err
		}
	}
	if err := report.Save(filepath.Join(folder, "growth.jsonl"), s.writeJSON); err != nil {
		return err
	}
	if _, err := out.Write(text.Bytes()); err != nil {
		return err
	}
	return p.Replace(text.String())
}

// circumstances tell where, when, and of what.
func (s *study) circumstances(w io.Writer) {
	_, _ = fmt.Fprintf(w, "%s. %s. Rounds: %d. Tidings %s, nats-server %s", s.machine, s.began.UTC().Format(time.DateOnly), s.cfg.rounds, s.target.Version, s.target.Settings["nats-server"])
	if s.cfg.quick {
		_, _ = fmt.Fprint(w, ", **quick, a tenth of the clients: to see that it runs, not to quote**")
	}
	_, _ = fmt.Fprint(w, ".\nMedians over the rounds; small print: their range.\n\n")
}

// writeJSON is every number of every round.
func (s *study) writeJSON(w io.Writer) error {
	text := func(v any) ([]byte, error) { return json.Marshal(v) }
	head, err := text(struct {
		Began   time.Time      `json:"began"`
		Quick   bool           `json:"quick"`
		Machine report.Machine `json:"machine"`
		Tidings string         `json:"tidings"`
		NATS    string         `json:"nats_server"`
	}{s.began.UTC(), s.cfg.quick, s.machine, s.target.Version, s.target.Settings["nats-server"]})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, "%s\n", head); err != nil {
		return err
	}
	for _, r := range s.records { // a line each, so that a change of one shows as that
		line, err := text(r)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n", line); err != nil {
			return err
		}
	}
	return nil
}
