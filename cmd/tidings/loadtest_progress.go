package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/tidingsmesh/tidings/loadtest/runner"
)

const (
	plainEvery    = 5 * time.Second // between two plain lines of a phase
	narrowest     = 40              // columns
	widest        = 160
	usualTerminal = 80
)

// progress shows how a load test goes: on a terminal some lines that are drawn anew in place, otherwise a plain line at each change
// of the phase and every few seconds. It is for one goroutine at a time.
type progress struct {
	out   io.Writer
	file  *os.File // the terminal; nil: none
	plain bool
	lines int // drawn at present
	last  runner.Snapshot
	told  time.Time
}

func newProgress(out io.Writer, plain bool) *progress {
	p := &progress{out: out, plain: true}
	if f, ok := out.(*os.File); ok && !plain && term.IsTerminal(int(f.Fd())) {
		p.file, p.plain = f, false
	}
	return p
}

// update shows a snapshot.
func (p *progress) update(s runner.Snapshot) {
	if p.plain {
		changed := s.Phase != p.last.Phase || s.Fault != p.last.Fault || s.Run != p.last.Run
		if changed || time.Since(p.told) >= plainEvery {
			p.told = time.Now()
			fmt.Fprintln(p.out, plainLine(s))
		}
		p.last = s
		return
	}
	p.draw(s)
}

// end leaves the terminal as it was, below what was drawn.
func (p *progress) end() {
	if p.lines > 0 {
		p.erase()
	}
}

// erase removes what was drawn.
func (p *progress) erase() {
	fmt.Fprintf(p.out, "\x1b[%dA\x1b[J", p.lines)
	p.lines = 0
}

func (p *progress) draw(s runner.Snapshot) {
	width, _, err := term.GetSize(int(p.file.Fd()))
	if err != nil || width == 0 {
		width = usualTerminal
	}
	width = min(max(width, narrowest), widest)
	var b strings.Builder
	if p.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", p.lines)
	}
	lines := progressLines(s, width)
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	p.lines = len(lines)
	fmt.Fprint(p.out, b.String())
}

// Colours of a terminal.
const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	reset = "\x1b[0m"
)

// progressLines is a snapshot for a terminal of so many columns.
func progressLines(s runner.Snapshot, width int) []string {
	head := string(s.Phase)
	if s.Runs > 1 {
		head = fmt.Sprintf("run %d of %d, %s", s.Run, s.Runs, s.Phase)
	}
	lines := []string{bold + fit(head, width) + reset + bar(s, width-len(head))}
	row := func(name, value string) {
		lines = append(lines, dim+fmt.Sprintf("  %-10s", name)+reset+fit(value, width-12))
	}
	connected := fmt.Sprintf("%d of %d clients", s.Connected, s.Clients)
	if s.Failed > 0 {
		connected += fmt.Sprintf(", %d failed", s.Failed)
	}
	row("connected", connected)
	if s.Phase != runner.PhasePrepare && s.Phase != runner.PhaseConnect {
		row("events", fmt.Sprintf("%s/s published, %s/s received", rate(s.PublishedPerSecond), rate(s.ReceivedPerSecond)))
		row("latency", fmt.Sprintf("p50 %s   p99 %s", latency(s.P50), latency(s.P99)))
	}
	if s.RSS > 0 {
		row("servers", fmt.Sprintf("%.2f CPUs, %d MiB", s.CPU, s.RSS>>20))
	}
	if s.Harness > 0 {
		row("harness", fmt.Sprintf("%.0f %% busy", s.Harness*100))
	}
	if s.Fault != "" {
		lines = append(lines, red+fit("  fault     "+s.Fault, width)+reset)
	}
	if len(s.Errors) > 0 {
		lines = append(lines, red+fit("  errors    "+reasons(s.Errors), width)+reset)
	}
	return lines
}

// bar is how far the phase has come, in so many columns.
func bar(s runner.Snapshot, width int) string {
	share := 0.0
	what := fmt.Sprintf(" %s", s.Elapsed.Round(time.Second))
	switch {
	case s.Phase == runner.PhaseConnect && s.Clients > 0:
		share = float64(s.Connected) / float64(s.Clients)
	case s.Length > 0:
		share = min(1, float64(s.Elapsed)/float64(s.Length))
		what += " of " + display(s.Length)
	default:
		return what
	}
	cells := min(40, width-len(what)-2)
	if cells <= 0 {
		return what
	}
	full := int(share * float64(cells))
	return " " + green + strings.Repeat("━", full) + reset + dim + strings.Repeat("━", cells-full) + reset + what
}

// plainLine is a snapshot without a terminal.
func plainLine(s runner.Snapshot) string {
	parts := []string{string(s.Phase)}
	if s.Runs > 1 {
		parts[0] = fmt.Sprintf("run %d/%d %s", s.Run, s.Runs, s.Phase)
	}
	if s.Length > 0 {
		parts[0] += fmt.Sprintf(" %s/%s", s.Elapsed.Round(time.Second), display(s.Length))
	}
	parts = append(parts, fmt.Sprintf("%d/%d connected", s.Connected, s.Clients))
	if s.PublishedPerSecond > 0 || s.ReceivedPerSecond > 0 {
		parts = append(parts, fmt.Sprintf("%s/s published, %s/s received", rate(s.PublishedPerSecond), rate(s.ReceivedPerSecond)))
	}
	if s.P50 > 0 {
		parts = append(parts, fmt.Sprintf("p50 %s p99 %s", latency(s.P50), latency(s.P99)))
	}
	if s.Fault != "" {
		parts = append(parts, "fault: "+s.Fault)
	}
	if len(s.Errors) > 0 {
		parts = append(parts, "errors: "+reasons(s.Errors))
	}
	return strings.Join(parts, ", ")
}

// reasons are the commonest, with their numbers.
func reasons(errors map[string]int) string {
	const most = 3
	names := slices.SortedFunc(maps.Keys(errors), func(a, b string) int {
		if errors[a] != errors[b] {
			return errors[b] - errors[a]
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names[:min(most, len(names))] {
		parts = append(parts, fmt.Sprintf("%s ×%d", name, errors[name]))
	}
	return strings.Join(parts, ", ")
}

// rate is a number per second with about three digits.
func rate(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.2fM", n/1e6)
	case n >= 1e4:
		return fmt.Sprintf("%.1fk", n/1e3)
	case n >= 10 || n == 0:
		return fmt.Sprintf("%.0f", n)
	default:
		return fmt.Sprintf("%.1f", n)
	}
}

// latency is a time in milliseconds, "–" when there is none.
func latency(d time.Duration) string {
	if d == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond))
}

// fit cuts a text to so many columns.
func fit(s string, width int) string {
	runes := []rune(s)
	if len(runes) <= width {
		return s
	}
	return string(runes[:max(0, width-1)]) + "…"
}
