package chaos_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/tidingsmesh/tidings/loadtest/history"
	"github.com/tidingsmesh/tidings/loadtest/link"
)

var (
	full  = flag.Bool("full", false, "all faults, once for each of -seeds, instead of the short run")
	seeds = flag.String("seeds", "1", "seeds of the full runs, separated by commas")
	only  = flag.String("only", "", "in full runs, only faults whose name contains this")
	out   = flag.String("out", "", "folder for the reports of the full runs")
)

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m)
}

// TestChaos is the promise under faults. The short run has a fixed seed and some of the faults.
func TestChaos(t *testing.T) {
	p := build(t)
	if !*full {
		run(t, p, 1, false)
		return
	}
	for text := range strings.SplitSeq(*seeds, ",") {
		seed, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		require.NoError(t, err, "-seeds")
		t.Run("seed "+text, func(t *testing.T) { run(t, p, seed, true) })
	}
}

func run(t *testing.T, p programs, seed uint64, all bool) {
	o := options{
		seed: seed, rooms: 20, clients: 200, publishers: 4, rate: 100, bytes: 700, classes: true,
		expireIn: 12 * time.Second, smallDisk: all && os.Geteuid() == 0,
	}
	w := newWorld(t, p, o)
	w.crowd(t)
	w.publish(t)
	for _, round := range w.plan(all) {
		w.break_(t, round)
	}
	w.note(t, history.Record{Kind: history.Healed})
	for _, c := range w.crowds {
		c.tell(t, "heal")
	}
	w.say(t, "all is healed; publishing goes on")
	hold(11 * time.Second) // the checker looks at the ten seconds after healing
	w.finish(t)
	report := w.judge(t, 0)
	t.Log("\n" + report)
	if *out != "" {
		name := filepath.Join(*out, fmt.Sprintf("chaos-seed-%d.txt", seed))
		require.NoError(t, os.WriteFile(name, []byte(report), 0o644))
	}
	w.controls(t)
}

// plan puts the faults in the order of the seed; those of one round are under way at once.
func (w *world) plan(all bool) [][]*fault {
	edges, nats := catalogue(w)
	rounds := [][]*fault{{expireTokens()}}
	if !all {
		// What a short run can hold: an edge and a leader lost, an edge drained, one cut off.
		return append(rounds, []*fault{killEdge()}, []*fault{drainEdge()}, []*fault{killLeader()}, []*fault{cutEdge()})
	}
	var rest [][]*fault
	for _, f := range append(edges, nats...) {
		rest = append(rest, []*fault{f})
	}
	edges, nats = catalogue(w)
	rest = append(rest,
		[]*fault{edges[w.random.IntN(len(edges))], nats[w.random.IntN(4)]},
		[]*fault{rollingRestart()},
	)
	rest = slices.DeleteFunc(rest, func(round []*fault) bool { return !strings.Contains(round[0].name, *only) })
	w.random.Shuffle(len(rest), func(i, k int) { rest[i], rest[k] = rest[k], rest[i] })
	return append(rounds, rest...)
}

// break_ carries out one round and lets the world rest a little afterwards.
func (w *world) break_(t *testing.T, round []*fault) { //nolint:revive // break is a keyword
	t.Helper()
	lasts := time.Duration(0)
	targets := make([]string, len(round))
	name := round[0].name
	if len(round) > 1 {
		name = "two at once: " + round[0].name + ", " + round[1].name
	}
	w.note(t, history.Record{Kind: history.Begin, Who: name})
	for i, f := range round {
		targets[i] = f.inflict(t, w)
		lasts = max(lasts, f.lasts)
	}
	w.sample(t, history.Sample)
	hold(lasts)
	proofs := make([]string, 0, len(round))
	for i, f := range round {
		if proof := f.prove(t, w); proof != "" {
			proofs = append(proofs, targets[i]+": "+proof)
		}
	}
	for _, f := range round {
		f.heal(t, w)
	}
	evidence := strings.Join(proofs, "; ")
	if len(proofs) < len(round) {
		evidence = ""
	}
	w.note(t, history.Record{Kind: history.End, Who: name, Text: evidence})
	w.say(t, "%s: %s", name, evidence)
	for _, c := range append(w.crowds, w.publishers...) {
		c.alive(t)
	}
	w.sample(t, history.Sample)
	hold(2 * time.Second)
	w.sample(t, history.Sample)
}

// judge has the checker, a process of its own, read the history; want is its status.
func (w *world) judge(t *testing.T, want int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.programs.check, append(append(args, "--history", longHistory), w.dir)...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		require.NoError(t, err)
	}
	assert.Equal(t, want, cmd.ProcessState.ExitCode(), "%s", text)
	return string(text)
}

// controls has the checker judge the same history with one thing wrong in it at a time.
func (w *world) controls(t *testing.T) {
	t.Helper()
	t.Log("\n" + w.judge(t, 0, "--controls"))
}

// TestControl_WithoutTheAuditLostLastEventsStayLost shows that the audit is what finds them, and that the
// checker does when it is off: 3 % of what is announced to the edges is lost.
func TestControl_WithoutTheAuditLostLastEventsStayLost(t *testing.T) {
	p := build(t)
	lossy := func(seed uint64) func(link.Direction) link.Filter {
		return func(d link.Direction) link.Filter {
			if d == link.Up {
				return nil
			}
			n := seed
			return link.DropMessages(func(subject string) bool {
				if !strings.HasPrefix(subject, "live.") {
					return false
				}
				n = n*6364136223846793005 + 1442695040888963407
				return n>>33%100 < 3
			})
		}
	}
	for name, c := range map[string]struct {
		flags  []string
		status int
		says   string
	}{
		"with the audit": {nil, 0, ""},
		"without it":     {[]string{"--audit", "24h", "--settle", "0s"}, 1, "delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, p, options{
				seed: 1, rooms: 300, clients: 100, publishers: 2, rate: 400, fromNATS: lossy(7), flags: c.flags,
			})
			w.crowd(t)
			w.note(t, history.Record{Kind: history.Begin, Who: "3 % of what is announced is lost"})
			w.publish(t)
			hold(5 * time.Second)
			w.note(t, history.Record{Kind: history.End, Who: "3 % of what is announced is lost", Text: "the link drops it"})
			w.finish(t)
			assert.Contains(t, w.judge(t, c.status), c.says)
		})
	}
}
