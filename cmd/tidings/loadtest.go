package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/tidingsmesh/tidings/internal/bytesize"
	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner"
	"github.com/tidingsmesh/tidings/loadtest/scenario"
	"github.com/tidingsmesh/tidings/loadtest/swarm"
)

type loadtestCmd struct {
	Run       loadtestRunCmd       `cmd:"" help:"Run a scenario against a Tidings that runs, and write a report; status 1 when it misses its objectives."`
	Compare   loadtestCompareCmd   `cmd:"" help:"Say what changed between two reports beyond the noise."`
	Scenarios loadtestScenariosCmd `cmd:"" help:"List the bundled scenarios, or print one to start one's own from."`
	Worker    loadtestWorkerCmd    `cmd:"" hidden:"" help:"Clients of a load test, driven by standard input."`
}

type loadtestRunCmd struct {
	Scenario string `arg:"" help:"Name of a bundled scenario or path of a file; tidings loadtest scenarios lists them."`

	Clients  int           `group:"Scenario" placeholder:"N" help:"Clients, instead of the scenario's."`
	Duration time.Duration `group:"Scenario" placeholder:"DURATION" help:"Length of the measured window, instead of the scenario's; the time of a fault moves with it."`
	Warmup   time.Duration `group:"Scenario" placeholder:"DURATION" help:"Time with load before the window, instead of the scenario's."`
	Rate     float64       `group:"Scenario" placeholder:"RATE" help:"Events per second over all rooms, instead of the scenario's, in its proportions."`
	Rooms    int           `group:"Scenario" placeholder:"N" help:"Rooms in all, instead of the scenario's, in its proportions."`
	Size     bytesize.Size `group:"Scenario" placeholder:"SIZE" help:"Data of an event, instead of the scenario's."`
	Repeat   int           `group:"Scenario" placeholder:"N" help:"Runs, instead of the scenario's; compare needs some to know the noise."`

	URL          []string `group:"Target" name:"url" sep:"none" default:"ws://127.0.0.1:8080/ws" placeholder:"URL" help:"WebSocket address of a server; repeatable: clients spread over all."`
	NATS         URL      `group:"Target" name:"nats" default:"nats://127.0.0.1:4222" placeholder:"URL" help:"NATS to publish to, several servers separated by commas."`
	JWTSecret    Secret   `group:"Target" name:"jwt-secret" placeholder:"SECRET" help:"The server's secret, to sign tokens with; better as TIDINGS_JWT_SECRET than on a command line. Without it a server with --dev is asked."`
	Audience     string   `group:"Target" placeholder:"AUDIENCE" help:"The tokens' aud, where the server asks for one."`
	Issuer       string   `group:"Target" placeholder:"ISSUER" help:"The tokens' iss, where the server asks for one."`
	TokenCommand string   `group:"Target" placeholder:"COMMAND" help:"Command for sh that reads lines like {\"sub\":\"lt-1\",\"rooms\":[\"campaign:1\"]} and writes a token for each, instead of --jwt-secret."`
	PID          []int    `group:"Target" name:"pid" placeholder:"PID" help:"Process to measure; repeatable. Default: who listens at --url and --nats, on this machine."`
	FaultCommand string   `group:"Target" placeholder:"COMMAND" help:"Command for sh that does a scenario's kill, restart or drain ($1) with the seconds to stay down ($2), and returns when the servers have been started again."`
	NATSLogin

	Workers int    `group:"Harness" placeholder:"N" help:"Client processes. Default: as few as the limit of open files allows."`
	Out     string `group:"Harness" placeholder:"DIR" help:"Folder for report.html and report.json. Default: loadtest-<scenario>-<time>."`
	SLO     string `group:"Harness" name:"slo" default:"default" placeholder:"FILE" help:"Objectives that the run has to meet: a YAML file, default, or none."`
}

// Run runs the scenario and prints the summary of its report on standard output, progress on standard error.
func (c *loadtestRunCmd) Run(ctx context.Context, m *Main, o origins) error {
	s, slo, err := c.load(o)
	if err != nil {
		return err
	}
	out := c.Out
	if out == "" {
		out = fmt.Sprintf("loadtest-%s-%s", s.Name, time.Now().Format("20060102-150405"))
	}
	// First, since a run that cannot be written down is for nothing.
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // a report is no secret
		return fmt.Errorf("report: %w", err)
	}
	show := newProgress(m.Stderr, m.variable("NO_COLOR") != "" || m.variable("TERM") == "dumb")
	result, err := runner.Run(ctx, s, c.target(), runner.Options{Workers: c.Workers, Progress: show.update, Args: c.args(o)})
	show.end()
	if err != nil {
		return err
	}
	return c.tell(m, result, slo, out)
}

// load reads the scenario and the objectives, applies the flags, and reports all that is wrong at once.
func (c *loadtestRunCmd) load(o origins) (*scenario.Scenario, *report.SLO, error) {
	var wrong problems
	check := func(flag string, err error) {
		if err != nil {
			wrong = append(wrong, o.errorf(flag, "%w", err))
		}
	}
	s, err := scenario.Load(c.Scenario)
	if err != nil {
		wrong = append(wrong, err)
	} else {
		c.override(s, o)
		if err := s.Validate(); err != nil {
			wrong = append(wrong, err)
		} else if f := s.Fault; f != nil && f.Kind != scenario.Disconnect && c.FaultCommand == "" {
			check("fault-command", fmt.Errorf("the scenario has a %s: give a command that does it, as in\n"+
				`    --fault-command 'systemctl kill -s KILL tidings; sleep "$2"; systemctl start tidings'`, f.Kind))
		}
	}
	if len(c.URL) == 0 {
		check("url", errors.New("is an empty list; give at least one address"))
	}
	for _, u := range c.URL {
		check("url", socketURL(u))
		if strings.HasPrefix(u, "wss:") {
			check("url", fmt.Errorf("%q: the clients of a load test speak no TLS; give the ws:// address behind what ends it", showURL(u)))
		}
	}
	check("nats", serverURLs(c.NATS))
	c.validate(check)
	if c.JWTSecret != "" && c.TokenCommand != "" {
		check("token-command", errors.New("excludes --jwt-secret: tokens come from one place"))
	}
	if c.Workers < 0 {
		check("workers", errors.New("is negative"))
	}
	for _, pid := range c.PID {
		if pid <= 0 {
			check("pid", fmt.Errorf("%d is no process", pid))
		}
	}
	slo, err := c.objectives()
	check("slo", err)
	return s, slo, wrong.asError()
}

// objectives are nil for none.
func (c *loadtestRunCmd) objectives() (*report.SLO, error) {
	switch c.SLO {
	case "none":
		return nil, nil
	case "default":
		return report.DefaultSLO(), nil
	}
	return report.LoadSLO(c.SLO)
}

// override puts what was given in the place of the scenario's own.
func (c *loadtestRunCmd) override(s *scenario.Scenario, o origins) {
	if o.given("clients") {
		s.Clients = c.Clients
	}
	if o.given("duration") {
		if s.Fault != nil && s.Duration > 0 {
			s.Fault.After = time.Duration(float64(s.Fault.After) * float64(c.Duration) / float64(s.Duration))
		}
		s.Duration = c.Duration
	}
	if o.given("warmup") {
		s.Warmup = c.Warmup
	}
	if o.given("repeat") {
		s.Repeat = c.Repeat
	}
	if o.given("rooms") {
		s.SetRooms(c.Rooms)
	}
	if o.given("rate") {
		s.SetRate(c.Rate)
	}
	if o.given("size") {
		s.SetSize(int(c.Size))
	}
}

func (c *loadtestRunCmd) target() runner.Target {
	cfg := runner.ExternalConfig{
		URLs: c.URL, NATS: c.dial(c.NATS, "tidings loadtest", slog.New(slog.DiscardHandler)),
		PIDs: c.PID, FaultCommand: c.FaultCommand,
	}
	switch {
	case c.JWTSecret != "":
		cfg.Tokens = runner.Secret(string(c.JWTSecret), c.Audience, c.Issuer)
	case c.TokenCommand != "":
		cfg.Tokens = runner.Command(c.TokenCommand)
	default:
		ask := runner.DevServer(c.URL[0])
		cfg.Tokens = func(ctx context.Context, holders []runner.Holder) ([]string, error) {
			tokens, err := ask(ctx, holders)
			if errors.Is(err, runner.ErrNoTokens) {
				err = fmt.Errorf("%w; only a server with --dev hands them out. Give its secret as TIDINGS_JWT_SECRET, or a --token-command", err)
			}
			return tokens, err
		}
	}
	return runner.NewExternal(cfg)
}

// args is the command line for the report, without what is nobody's business.
func (c *loadtestRunCmd) args(o origins) []string {
	args := []string{"tidings", "loadtest", "run", c.Scenario}
	for _, f := range []struct {
		name  string
		value any
	}{
		{"clients", c.Clients},
		{"duration", c.Duration},
		{"warmup", c.Warmup},
		{"rate", c.Rate},
		{"rooms", c.Rooms},
		{"size", c.Size},
		{"repeat", c.Repeat},
		{"nats", c.NATS},
		{"workers", c.Workers},
		{"slo", c.SLO},
	} {
		if o.given(f.name) {
			args = append(args, "--"+f.name, display(f.value))
		}
	}
	if o.given("url") {
		for _, u := range c.URL {
			args = append(args, "--url", showURL(u))
		}
	}
	return args
}

// Names of the two files of a report.
const (
	reportPage = "report.html"
	reportData = "report.json"
)

// errMissed ends a run with the status of a failure when everything about it has been told.
var errMissed = errors.New("the objectives are missed")

// tell writes the report and says what came of the run.
func (c *loadtestRunCmd) tell(m *Main, result *report.Result, slo *report.SLO, out string) error {
	var verdict *report.Verdict
	if slo != nil {
		v := slo.Judge(result)
		verdict = &v
	}
	page, data := filepath.Join(out, reportPage), filepath.Join(out, reportData)
	if err := errors.Join(
		report.Save(page, func(w io.Writer) error { return result.WriteHTML(w, verdict) }),
		report.Save(data, result.Write),
	); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := result.WriteText(m.Stdout, verdict); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	fmt.Fprintf(m.Stdout, "\nreport  %s\n        %s\n", page, data)
	for _, r := range result.Runs {
		if r.Error != "" {
			return errors.New(r.Error)
		}
	}
	if verdict != nil && !verdict.Met {
		return errMissed
	}
	return nil
}

type loadtestCompareCmd struct {
	Before string `arg:"" help:"report.json of one run, or its folder."`
	After  string `arg:"" help:"report.json of the other, or its folder."`
}

// Run prints what changed.
func (c *loadtestCompareCmd) Run(m *Main) error {
	var results [2]*report.Result
	for i, path := range []string{c.Before, c.After} {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			path = filepath.Join(path, reportData)
		}
		var err error
		if results[i], err = report.Load(path); err != nil {
			return &usageError{err}
		}
	}
	changes, err := report.Compare(results[0], results[1])
	if err != nil {
		return &usageError{err}
	}
	return changes.WriteText(m.Stdout)
}

type loadtestScenariosCmd struct {
	Name string `arg:"" optional:"" help:"Scenario to print."`
}

// Run lists the scenarios, or prints one as YAML.
func (c *loadtestScenariosCmd) Run(m *Main) error {
	if c.Name != "" {
		text, err := scenario.Source(c.Name)
		if err != nil {
			return &usageError{err}
		}
		_, err = m.Stdout.Write(text)
		return err
	}
	for _, name := range scenario.Bundled() {
		s, err := scenario.Load(name)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(m.Stdout, "%-12s %s\n", name, s.Description); err != nil {
			return err
		}
	}
	return nil
}

type loadtestWorkerCmd struct{}

// Run is a process of clients until its parent ends it. A signal for the whole group, as Ctrl-C on a terminal is, is the parent's to
// act on.
func (*loadtestWorkerCmd) Run(m *Main) error {
	signal.Ignore(os.Interrupt, syscall.SIGHUP)
	return swarm.RunWorker(context.Background(), m.Stdin, m.Stdout)
}
