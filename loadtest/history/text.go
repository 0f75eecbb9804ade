package history

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// printer writes a report for people. The error is that of the writer.
type printer struct {
	*bufio.Writer
	report *Report
}

// WriteText writes the report for people: what happened, what was found of each invariant, and the
// verdict in the last line. The error is that of w.
func (r *Report) WriteText(w io.Writer) error {
	p := printer{bufio.NewWriter(w), r}
	p.run()
	p.deliveries()
	p.reconnections()
	p.usage()
	p.nats()
	p.checks()
	p.verdict()
	return p.Flush()
}

// Widths of the labels on the left.
const (
	labelWidth = 14
	trialWidth = 44
)

// line writes one line behind a label.
func (p printer) line(width int, label, format string, args ...any) {
	_, _ = fmt.Fprintf(p, "%-*s%s\n", width, label, fmt.Sprintf(format, args...))
}

// table writes rows of cells, the first column to the left and the others to the right; the first row is
// the head.
func (p printer) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		_, _ = fmt.Fprintf(p, "%-*s", max(widths[0], labelWidth-2), row[0])
		for i, cell := range row[1:] {
			_, _ = fmt.Fprintf(p, "  %*s", widths[i+1], cell)
		}
		_ = p.WriteByte('\n')
	}
}

func (p printer) run() {
	r := p.report
	p.line(labelWidth, "run", "%s in %s files, %s records", brief(r.Lasted), number(r.Files), number(r.Records))
	if r.Healed != 0 {
		p.line(labelWidth, "", "healed after %s", p.since(r.Healed))
	}
	if r.Quiet != 0 {
		p.line(labelWidth, "", "quiet after %s", p.since(r.Quiet))
	}
	pub := r.Publishing
	p.line(labelWidth, "publishes", "%s: %s ok, %s failed (%s stored all the same), %s unknown (%s stored)", number(pub.Published), number(pub.Acked),
		number(pub.Refused), number(pub.RefusedStored), number(pub.Unknown), number(pub.UnknownStored))
	p.line(labelWidth, "stream", "%s events in %s rooms", number(pub.Stored), number(pub.Rooms))
	for i, class := range r.Classes {
		p.line(labelWidth, label(i, "clients"), "%s %s, %s of them killed", number(class.Clients), class.Class, number(class.Cut))
	}
	p.faults()
}

func (p printer) faults() {
	r := p.report
	took := 0
	tried, effective := make(map[string]int), make(map[string]int)
	for _, f := range r.Faults {
		tried[f.Name]++
		if f.Evidence != "" {
			took++
			effective[f.Name]++
		}
	}
	p.line(labelWidth, "faults", "%s, of which %s took effect", number(len(r.Faults)), number(took))
	for _, name := range slices.Sorted(maps.Keys(tried)) {
		p.line(labelWidth, "", "%s: %d of %d", name, effective[name], tried[name])
	}
	for _, f := range r.Faults {
		if f.Evidence == "" {
			p.line(labelWidth, "", "no evidence of %s at %s, %s", f.Name, p.since(f.Begin), f.Target)
		}
	}
}

func (p printer) deliveries() {
	r := p.report
	expected := r.Finding(Delivered)
	p.line(labelWidth, "connections", "%s, of which %s were moves", number(r.Connections), number(r.Moves))
	p.line(labelWidth, "joins", "%s first, %s recovered (%s events replayed), %s", number(r.FirstJoins), number(r.Recovered), number(r.Replayed), p.resets())
	for _, code := range slices.Sorted(maps.Keys(r.Denied)) {
		p.line(labelWidth, "", "%s denied: %s", number(r.Denied[code]), code)
	}
	p.line(labelWidth, "", "%s at most by a steady client in a room in one minute", number(r.MostJoins))
	p.line(labelWidth, "deliveries", "%s: %s applied, %s recognised as duplicates", number(r.Deliveries), number(r.Applied), number(r.Duplicates))
	p.line(labelWidth, "", "%s gaps closed by joining again, %s lags", number(r.Gaps), number(r.Lags))
	p.line(labelWidth, "expected", "%s: %s delivered, %s missing as told, %s missing", number(expected.Of),
		number(expected.Of-r.Told-expected.Violations), number(r.Told), number(expected.Violations))
	p.line(labelWidth, "wrong", "%s out of order, %s twice, %s altered or invented, %s skipped", number(r.Finding(Ordered).Violations),
		number(r.Finding(Once).Violations), number(r.Finding(Genuine).Violations), number(r.Finding(Complete).Violations))
	p.line(labelWidth, "silence", "%s at most after healing, from ack to event", brief(r.Silence))
	rows := [][]string{spreadHead("publish to event"), spreadRow("no fault around", r.CalmDelay), spreadRow("overall", r.Delay)}
	p.table(rows)
}

func (p printer) resets() string {
	parts := []string{}
	n := 0
	for _, reason := range sortedKeys(p.report.Resets) {
		c := p.report.Resets[reason]
		n += c.Count
		parts = append(parts, fmt.Sprintf("%s %s, %s in vain", reason, number(c.Count), number(c.Vain)))
	}
	if n == 0 {
		return "0 not recovered"
	}
	return fmt.Sprintf("%s not recovered (%s)", number(n), strings.Join(parts, "; "))
}

func (p printer) reconnections() {
	all := p.report.Reconnection
	rows := [][]string{spreadHead("reconnection"), spreadRow("steady, expires", all.Steady)}
	for _, name := range sortedKeys(all.Faults) {
		rows = append(rows, spreadRow("  "+cmp.Or(name, "without a fault"), all.Faults[name]))
	}
	rows = append(rows, spreadRow("slow, churn", all.Others), spreadRow("moved", all.Moved))
	p.table(rows)
	if all.Unfinished > 0 {
		p.line(labelWidth, "", "%s more were not over at the client's end", number(all.Unfinished))
	}
}

func spreadHead(of string) []string {
	return []string{of, "number", "mean", "p50", "p95", "p99", "max"}
}

func spreadRow(label string, s Spread) []string {
	row := []string{label, number(s.Count)}
	for _, d := range []time.Duration{s.Mean, s.P50, s.P95, s.P99, s.Max} {
		if s.Count == 0 {
			row = append(row, "-")
			continue
		}
		row = append(row, brief(d))
	}
	return row
}

func (p printer) usage() {
	rows := [][]string{{"usage", "goroutines", "files", "subscriptions", "connections", "rooms", "queued", "heap", "RSS", "peak"}}
	for _, u := range p.report.Usage {
		rows = append(rows, usageRow(u.Edge+" base", u.Base, "-"), usageRow(u.Edge+" rest", u.Rest, mebibytes(u.PeakRSS)))
	}
	p.table(rows)
}

func usageRow(label string, u *Usage, peak string) []string {
	if u == nil {
		return []string{label, "-", "-", "-", "-", "-", "-", "-", "-", peak}
	}
	return []string{
		label, number(u.Goroutines), number(u.Files), number(u.Subscriptions), number(u.Connections), number(u.Rooms),
		number(int(u.Queued)), mebibytes(u.Heap), mebibytes(u.RSS), peak,
	}
}

func (p printer) nats() {
	n := p.report.NATS
	p.line(labelWidth, "NATS's loss", "%s of %s acknowledged events are not in the stream, %s are elsewhere in it", number(n.Lost), number(n.Acked), number(n.Elsewhere))
	p.line(labelWidth, "", "%s deliveries of events that the stream has lost since", number(n.Delivered))
	p.examples(n.Examples)
}

func (p printer) checks() {
	for i, c := range p.report.Checks {
		state := "holds"
		if c.Violations > 0 {
			state = "VIOLATED"
		}
		p.line(labelWidth, label(i, "invariants"), "%-13s %-8s %12s of %s %s", c.Name, state, number(c.Violations), number(c.Of), c.Unit)
		p.examples(c.Examples)
	}
}

func (p printer) examples(all []Violation) {
	for _, v := range all {
		p.line(labelWidth, "", "    %s", p.violation(v))
	}
}

// violation says who, where and when before what.
func (p printer) violation(v Violation) string {
	var parts []string
	for _, s := range []string{v.Client, v.Edge, v.Room} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if v.Seq != 0 {
		parts = append(parts, strconv.FormatUint(v.Seq, 10))
	}
	if v.ID != "" {
		parts = append(parts, v.ID)
	}
	if v.Time != 0 {
		parts = append(parts, "at "+p.since(v.Time))
	}
	if len(parts) == 0 {
		return v.Text
	}
	return strings.Join(parts, " ") + ": " + v.Text
}

func (p printer) verdict() {
	switch p.report.Verdict() {
	case Holds:
		p.line(labelWidth, "verdict", "all %d invariants hold", len(p.report.Checks))
	case Violated:
		p.line(labelWidth, "verdict", "VIOLATED: %s", join(p.report.Violated()))
	case Vacuous:
		p.line(labelWidth, "verdict", "NOTHING JUDGED: no events, or no client that got any")
	}
}

// since is a time of the run, as seconds from its beginning.
func (p printer) since(t int64) string {
	return fmt.Sprintf("%.3fs", time.Duration(t-p.report.Began).Seconds())
}

func label(i int, of string) string {
	if i > 0 {
		return ""
	}
	return of
}

func join(names []Invariant) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(name))
	}
	return b.String()
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// number groups digits by thousands.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// WriteTrials writes a table of what the checker said of each control. The error is that of w.
func WriteTrials(w io.Writer, trials []Trial) error {
	p := printer{Writer: bufio.NewWriter(w)}
	caught, expected := 0, 0
	for _, t := range trials {
		said := "caught: " + join(t.Raised)
		switch {
		case t.Done == "" && t.Caught:
			p.line(trialWidth, t.Name, "no place for it in this run")
			continue
		case t.Done == "":
			said = "MISSED: there is no place for it in this run"
		case !t.Caught:
			said = fmt.Sprintf("MISSED: violated is %s, and should be %s", cmp.Or(join(t.Raised), "nothing"), join(t.Breaks))
		}
		expected++
		if t.Caught {
			caught++
		}
		p.line(trialWidth, t.Name, "%s", said)
		if t.Done != "" {
			p.line(trialWidth, "", "    put at %s", t.Done)
		}
		if len(t.Raised) > 0 {
			p.line(trialWidth, "", "    %s", t.Example.Text)
		}
	}
	p.line(trialWidth, "verdict", "%d of %d controls caught", caught, expected)
	return p.Flush()
}
