package history_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/history"
)

// wholeRun has something of everything that a report tells.
func wholeRun() *story {
	s := tell()
	usage := history.Usage{RSS: 50 << 20, Heap: 8 << 20, Goroutines: 1020, Files: 15, Subscriptions: 4}
	s.write("conductor", history.Record{Kind: history.Base, Who: "edge-1", Usage: &usage})
	a := s.member("a", 5)
	b := s.client("b", history.Churn)
	b.denied("forbidden")
	s.events(10)
	a.gets(10)
	s.fault("kill -9 edge")
	s.pass(time.Second)
	a.resume(10)
	s.pass(500 * time.Millisecond)
	s.events(20)
	a.recovered(20, 1)
	a.gets(20)
	a.getsAgain(20)
	s.publish(30)
	s.write("publisher", history.Record{Kind: history.Failed, Room: room, ID: id(30), Unknown: true})
	s.store(30)
	s.publish(31)
	s.write("publisher", history.Record{Kind: history.Failed, Room: room, ID: id(31)})
	s.lose(32)
	a.gets(30)
	s.conduct(history.Healed)
	s.events(40)
	a.gets(40)
	s.events(50)
	s.pass(9 * time.Second)
	s.end(a)
	s.write("conductor", history.Record{Kind: history.Rest, Who: "edge-1", Usage: &usage})
	return s
}

func TestReport_TextTellsEveryNumber(t *testing.T) {
	s := wholeRun()
	assert.Equal(t, `run           10.5s in 5 files, 42 records
              healed after 1.531s
              quiet after 10.539s
publishes     7: 5 ok, 1 failed (0 stored all the same), 1 unknown (1 stored)
stream        5 events in 1 rooms
clients       1 churn, 1 of them killed
              1 steady, 0 of them killed
faults        1, of which 1 took effect
              kill -9 edge: 1 of 1
connections   2, of which 0 were moves
joins         1 first, 1 recovered (1 events replayed), 0 not recovered
              1 denied: forbidden
              2 at most by a steady client in a room in one minute
deliveries    5: 4 applied, 1 recognised as duplicates
              0 gaps closed by joining again, 0 lags
expected      5: 4 delivered, 0 missing as told, 1 missing
wrong         0 out of order, 0 twice, 0 altered or invented, 0 skipped
silence       1.0ms at most after healing, from ack to event
publish to event  number   mean    p50    p95    p99    max
no fault around        1  3.0ms  3.0ms  3.0ms  3.0ms  3.0ms
overall                4  4.2ms  3.0ms  7.0ms  7.0ms  7.0ms
reconnection     number   mean    p50    p95    p99    max
steady, expires       1  507ms  507ms  507ms  507ms  507ms
  kill -9 edge        1  507ms  507ms  507ms  507ms  507ms
slow, churn           0      -      -      -      -      -
moved                 0      -      -      -      -      -
usage         goroutines  files  subscriptions  connections  rooms  queued     heap       RSS      peak
edge-1 base        1,020     15              4            0      0       0  8.0 MiB  50.0 MiB         -
edge-1 rest        1,020     15              4            0      0       0  8.0 MiB  50.0 MiB  50.0 MiB
NATS's loss   1 of 5 acknowledged events are not in the stream, 0 are elsewhere in it
              0 deliveries of events that the stream has lost since
                  campaign:1 32 evt-32 at 1.529s: acknowledged, and not in the stream
invariants    order         holds               0 of 4 events applied
              complete      holds               0 of 4 events passed
              genuine       holds               0 of 10 events delivered or stored
              once          holds               0 of 9 events applied or stored
              delivered     VIOLATED            1 of 5 deliveries expected
                  a campaign:1 50 evt-50 at 1.538s: acknowledged, and never came
              truthful      holds               0 of 2 answers to joins
              agreement     holds               0 of 5 deliveries compared
              reconnection  holds               0 of 1 reconnections
              silence       holds               0 of 1 deliveries after healing
              rejoins       holds               0 of 2 joins of steady clients
              usage         holds               0 of 7 figures of edges
verdict       VIOLATED: delivered
`, text(check(t, s.source, s.options)))
}

func TestReport_JSONTellsTheSame(t *testing.T) {
	s := wholeRun()
	text, err := json.Marshal(check(t, s.source, s.options))
	require.NoError(t, err)
	var report struct {
		Checks []struct {
			Name       string
			Of         int
			Unit       string
			Violations int
			Examples   []history.Violation
		}
		Publishing   history.Publishing
		Reconnection struct {
			Steady struct {
				Count int
				Max   float64 `json:"max_s"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &report))
	require.Len(t, report.Checks, 11)
	delivered := report.Checks[4]
	assert.Equal(t, "delivered", delivered.Name)
	assert.Equal(t, []int{5, 1}, []int{delivered.Of, delivered.Violations})
	require.Len(t, delivered.Examples, 1)
	assert.Equal(t, "a", delivered.Examples[0].Client)
	assert.Equal(t, uint64(50), delivered.Examples[0].Seq)
	assert.Equal(t, 7, report.Publishing.Published)
	assert.Equal(t, 1, report.Reconnection.Steady.Count)
	assert.InDelta(t, 0.5, report.Reconnection.Steady.Max, 0.1)
}

func TestReport_TenExamplesAndTheNumberOfAll(t *testing.T) {
	s := tell()
	c := s.member("a", 5)
	s.events(10)
	for range 25 {
		c.gets(10)
	}
	s.end(c)
	found := check(t, s.source, s.options).Finding(history.Once)
	assert.Equal(t, 24, found.Violations)
	assert.Len(t, found.Examples, 10)
}

func TestReport_NothingJudgedIsNoSuccess(t *testing.T) {
	s := tell()
	s.conduct(history.Quiet)
	report := check(t, s.source, s.options)
	assert.Equal(t, history.Vacuous, report.Verdict())
	assert.Contains(t, text(report), "NOTHING JUDGED")

	s = tell()
	s.events(10)
	s.end(s.client("a", history.Steady))
	assert.Equal(t, history.Vacuous, check(t, s.source, s.options).Verdict(), "no client got anything")
}

func TestReport_PercentilesAreValuesThatOccurred(t *testing.T) {
	s := tell()
	var all []*teller
	for i := range 100 {
		c := s.client(string(rune('a'+i/10))+string(rune('a'+i%10)), history.Slow)
		c.up()
		c.join(0)
		c.joined(5)
		c.down()
		from := s.now
		c.up()
		c.join(5)
		s.now = from + int64(time.Duration(i+1)*time.Second) - int64(time.Millisecond)
		c.recovered(5, 0)
		all = append(all, c)
	}
	s.events(10)
	for _, c := range all {
		c.gets(10)
	}
	s.end(all...)
	took := check(t, s.source, s.options).Reconnection.Others
	assert.Equal(t, history.Spread{
		Count: 100, Mean: 50500 * time.Millisecond, P50: 50 * time.Second, P95: 95 * time.Second, P99: 99 * time.Second, Max: 100 * time.Second,
	}, took)
}
