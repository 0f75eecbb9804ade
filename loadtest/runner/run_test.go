//go:build linux

package runner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
	"github.com/tidingsmesh/tidings/mesh"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

// installation starts nats-server and edges until the test ends.
func installation(t *testing.T, edges int) *runner.Tidings {
	t.Helper()
	target, err := runner.StartTidings(t.Context(), runner.TidingsConfig{
		Binary: tidings, NATSServer: meshtest.ServerBinary(t), Edges: edges, Dir: t.ArtifactDir(),
		Flags: []string{"--drain", "2s", "--settle", "500ms"},
	})
	require.NoError(t, err)
	t.Cleanup(target.Close)
	return target
}

// small is a bundled scenario that takes seconds.
func small(t *testing.T, name string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Load(name)
	require.NoError(t, err)
	s.Clients, s.Repeat = 40, 1
	s.Warmup, s.Duration = 300*time.Millisecond, 1500*time.Millisecond
	s.ConnectRate *= 10
	if s.Fault != nil {
		s.Fault.After = 500 * time.Millisecond
	}
	rate, rooms := 0.0, 0
	for _, g := range s.Groups {
		rate, rooms = rate+g.Rate, rooms+g.Rooms
	}
	s.SetRate(min(rate, 100))
	s.SetRooms(min(rooms, 8))
	require.NoError(t, s.Validate())
	return s
}

// one runs the scenario once.
func one(t *testing.T, ctx context.Context, s *scenario.Scenario, target runner.Target, o runner.Options) report.Run {
	t.Helper()
	result, err := runner.Run(ctx, s, target, o)
	require.NoError(t, err)
	require.Len(t, result.Runs, 1)
	return result.Runs[0]
}

func TestRun_EveryBundledScenarioIsMeasured(t *testing.T) {
	target := installation(t, 2)
	for _, name := range scenario.Bundled() {
		t.Run(name, func(t *testing.T) {
			s := small(t, name)
			got := one(t, t.Context(), s, target, runner.Options{})

			require.Empty(t, got.Error)
			assert.Equal(t, s.Clients, got.Connect.Succeeded)
			assert.Zero(t, got.Connect.Failed)
			assert.EqualValues(t, s.Clients, got.Connect.JoinMs.Count)
			assert.Equal(t, got.Publish.Sent, got.Publish.Acked)
			assert.Zero(t, got.Deliver.Missing)
			assert.Zero(t, got.Deliver.Twice)
			assert.Zero(t, got.Deliver.OutOfOrder)
			if s.Churn == 0 {
				assert.Equal(t, got.Deliver.Expected, got.Deliver.Received)
			}
			if got.Rate > 0 {
				planned := got.Rate * s.Duration.Seconds()
				assert.InDelta(t, planned, float64(got.Publish.Sent), planned*0.1+float64(got.Burst*len(s.Groups)))
				assert.NotZero(t, got.Deliver.Received)
				assert.Equal(t, got.Deliver.Received, got.Deliver.LatencyMs.Count)
				assert.Positive(t, got.CPUPerDelivery)
				assert.Greater(t, got.BytesPerDelivery, float64(got.Size))
			} else {
				assert.Zero(t, got.Publish.Sent)
			}
			assert.Positive(t, got.CPUPerJoin)
			var names []string
			for _, p := range got.Processes {
				names = append(names, p.Name)
				assert.Positive(t, p.RSSBefore, p.Name)
				assert.Positive(t, p.RSSEnd, p.Name)
			}
			assert.Equal(t, []string{"edge 1", "edge 2", "nats-server"}, names)
			assert.NotEmpty(t, got.Samples)
		})
	}
}

func TestRun_FaultsAreSurvivedAndTimed(t *testing.T) {
	t.Parallel()
	target := installation(t, 2)
	for _, kind := range []string{scenario.Disconnect, scenario.Kill, scenario.Restart, scenario.Drain} {
		t.Run(kind, func(t *testing.T) {
			s := small(t, "storm")
			s.Fault.Kind = kind
			before := target.Processes()
			got := one(t, t.Context(), s, target, runner.Options{})

			require.Empty(t, got.Error)
			require.NotNil(t, got.Fault)
			assert.Equal(t, kind, got.Fault.Kind)
			assert.GreaterOrEqual(t, got.Fault.At, got.From+s.Fault.After.Seconds()-0.1, "not before its time")
			assert.GreaterOrEqual(t, got.Reconnect.Count, s.Clients/2)
			assert.Positive(t, got.Reconnect.AllBackSeconds)
			assert.Zero(t, got.Reconnect.Missing)
			assert.Zero(t, got.Reconnect.NotRecovered)
			assert.Equal(t, got.Deliver.Expected, got.Deliver.Received)
			assert.Zero(t, got.Deliver.Missing)
			assert.Zero(t, got.Deliver.Twice)
			assert.Len(t, got.Processes, 3, "a restarted process is the same one")
			if kind != scenario.Disconnect {
				assert.NotEqual(t, before, target.Processes(), "the edges are other processes now")
			}
		})
	}
}

func TestRun_RepeatsEachWithRoomsOfItsOwn(t *testing.T) {
	t.Parallel()
	target := installation(t, 1)
	s := small(t, "narrow")
	s.Duration, s.Repeat = time.Second, 2
	result, err := runner.Run(t.Context(), s, target, runner.Options{Args: []string{"bench"}})
	require.NoError(t, err)
	require.Len(t, result.Runs, 2)
	for _, got := range result.Runs {
		assert.Empty(t, got.Error)
		assert.Equal(t, got.Deliver.Expected, got.Deliver.Received)
	}
	assert.Equal(t, "narrow", result.Scenario)
	assert.Equal(t, []string{"bench"}, result.Args)
	assert.Equal(t, "Tidings", result.Target.Name)
	assert.NotEmpty(t, result.Target.Version)
	assert.Positive(t, result.Machine.Cores)
}

func TestRun_TellsItsPhasesInOrder(t *testing.T) {
	target := installation(t, 1)
	var phases []runner.Phase
	var most runner.Snapshot
	got := one(t, t.Context(), small(t, "wide"), target, runner.Options{Progress: func(s runner.Snapshot) {
		if len(phases) == 0 || phases[len(phases)-1] != s.Phase {
			phases = append(phases, s.Phase)
		}
		if s.ReceivedPerSecond > most.ReceivedPerSecond {
			most = s
		}
	}})
	require.Empty(t, got.Error)
	inOrder := []runner.Phase{runner.PhasePrepare, runner.PhaseConnect, runner.PhaseWarmup, runner.PhaseMeasure, runner.PhaseFinish, runner.PhaseDone}
	at := -1
	for _, p := range phases {
		next := slices.Index(inOrder, p)
		assert.Greater(t, next, at, "%s in %v", p, phases)
		at = next
	}
	assert.Contains(t, phases, runner.PhaseMeasure)
	assert.Equal(t, runner.PhaseDone, phases[len(phases)-1])
	assert.Equal(t, 40, most.Connected)
	assert.Positive(t, most.PublishedPerSecond)
	assert.Positive(t, most.P50)
	assert.GreaterOrEqual(t, most.P99, most.P50)
	assert.Positive(t, most.RSS)
}

func TestRun_ATargetThatIsNotThereIsSaid(t *testing.T) {
	target := installation(t, 1)
	absent := runner.NewExternal(runner.ExternalConfig{
		URLs: []string{"ws://127.0.0.1:1/ws"}, Tokens: target.Tokens, NATS: target.NATS(),
	})
	got := one(t, t.Context(), small(t, "wide"), absent, runner.Options{})
	assert.Equal(t, "none of 40 clients got in: refused (40)", got.Error)
	assert.Equal(t, 40, got.Connect.Failed)
}

func TestRun_ATargetThatRefusesIsSaid(t *testing.T) {
	target := installation(t, 1)
	stranger := runner.Secret("another secret of thirty-two bytes", "", "")
	got := one(t, t.Context(), small(t, "wide"), with{Tidings: target, tokens: stranger}, runner.Options{})
	assert.Contains(t, got.Error, "none of 40 clients got in: close 4401")
}

func TestRun_ATargetThatTakesHalfIsMeasuredAndMissesItsObjectives(t *testing.T) {
	target := installation(t, 1)
	stranger := runner.Secret("another secret of thirty-two bytes", "", "")
	half := func(ctx context.Context, holders []runner.Holder) ([]string, error) {
		good, err := target.Tokens(ctx, holders)
		if err != nil {
			return nil, err
		}
		bad, err := stranger(ctx, holders)
		for i := range good {
			if i%2 == 1 {
				good[i] = bad[i]
			}
		}
		return good, err
	}
	s := small(t, "wide")
	result, err := runner.Run(t.Context(), s, with{Tidings: target, tokens: half}, runner.Options{})
	require.NoError(t, err)
	got := result.Runs[0]
	assert.Empty(t, got.Error)
	assert.Equal(t, 20, got.Connect.Succeeded)
	assert.Equal(t, 20, got.Connect.Failed)
	assert.Contains(t, fmt.Sprint(got.Notes), "20 of 40 clients did not get in: close 4401")
	assert.Equal(t, got.Deliver.Expected, got.Deliver.Received)
	assert.False(t, report.DefaultSLO().Judge(result).Met)
}

func TestRun_ATargetThatDropsHalfEndsInAnError(t *testing.T) {
	t.Parallel()
	target := installation(t, 2)
	s := small(t, "wide")
	s.Duration = 4 * time.Second
	got := one(t, t.Context(), s, target, runner.Options{Progress: once(func() {
		victim := target.Processes()[0]
		assert.Equal(t, report.Server, victim.Role)
		assert.NoError(t, syscall.Kill(victim.PID, syscall.SIGKILL))
	})})
	assert.Regexp(t, `^20 of 40 clients lost their connection and were not back at the end: `, got.Error)
	assert.Equal(t, 20, got.Reconnect.Missing)
	assert.Less(t, got.Deliver.Received, got.Deliver.Expected)
	assert.Equal(t, 20, got.Samples[len(got.Samples)-1].Connected)
}

// once does something as soon as events arrive in the window.
func once(do func()) func(runner.Snapshot) {
	done := false
	return func(now runner.Snapshot) {
		if now.Phase == runner.PhaseMeasure && now.ReceivedPerSecond > 0 && !done {
			done = true
			do()
		}
	}
}

func TestRun_ABrokerThatIsNotThereIsSaid(t *testing.T) {
	target := installation(t, 1)
	lonely := runner.NewExternal(runner.ExternalConfig{
		URLs: target.URLs(), Tokens: target.Tokens, NATS: mesh.DialConfig{URL: "nats://127.0.0.1:1"},
	})
	got := one(t, t.Context(), small(t, "wide"), lonely, runner.Options{})
	assert.Contains(t, got.Error, "publisher: NATS at nats://127.0.0.1:1: ")
}

func TestRun_ABrokerThatDiesEndsTheRun(t *testing.T) {
	t.Parallel()
	target := installation(t, 1)
	s := small(t, "wide")
	s.Duration = time.Hour
	got := one(t, t.Context(), s, target, runner.Options{Progress: once(func() {
		broker := target.Processes()[1]
		assert.Equal(t, report.Broker, broker.Role)
		assert.NoError(t, syscall.Kill(broker.PID, syscall.SIGKILL))
	})})
	assert.Contains(t, got.Error, "publishing: ")
	assert.Positive(t, got.Publish.Failed)
	assert.NotEmpty(t, got.Publish.Failures)
	assert.Positive(t, got.Deliver.Received)
}

func TestRun_InterruptedStillReports(t *testing.T) {
	t.Parallel()
	target := installation(t, 1)
	s := small(t, "wide")
	s.Duration = time.Hour
	ctx, cancel := context.WithCancelCause(t.Context())
	got := one(t, ctx, s, target, runner.Options{Progress: once(func() { cancel(errors.New("interrupt")) })})
	assert.Equal(t, `interrupted in the phase "measure"`, got.Error)
	assert.Positive(t, got.Deliver.Received)
	assert.NotEmpty(t, got.Samples)
}

func TestRun_AFaultNobodyCanCauseIsSaid(t *testing.T) {
	target := installation(t, 1)
	external := runner.NewExternal(runner.ExternalConfig{
		URLs: target.URLs(), Tokens: target.Tokens, NATS: target.NATS(),
	})
	got := one(t, t.Context(), small(t, "storm"), external, runner.Options{})
	assert.Equal(t, "kill: "+runner.ErrNoFault.Error(), got.Error)
}

func TestRun_AWrongScenarioBeginsNothing(t *testing.T) {
	_, err := runner.Run(t.Context(), &scenario.Scenario{Name: "empty"}, runner.NewExternal(runner.ExternalConfig{}), runner.Options{})
	assert.ErrorContains(t, err, "clients")
}

// with is an installation whose clients get other tokens.
type with struct {
	*runner.Tidings
	tokens runner.Tokens
}

func (w with) Tokens(ctx context.Context, holders []runner.Holder) ([]string, error) {
	return w.tokens(ctx, holders)
}
