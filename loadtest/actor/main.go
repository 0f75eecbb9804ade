// Actor is one process of a fault run: it publishes events, or it is many clients, and writes down what it
// does before it does it (package history). Its configuration is the JSON file that is its only argument,
// its standard input takes commands, one a line, and its standard output answers them:
//
//	heal              no fault will come any more: slow clients read at full speed, and nobody leaves
//	await SEQS        answer "there" when every client has, in each of its rooms, come to the sequence in
//	                  SEQS, a JSON object {"campaign:1": 1042}
//	stop              end, after what is under way
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tidingsmesh/tidings/loadtest/history"
)

// Config is what an actor is told. Exactly one of Publisher and Clients is there.
type Config struct {
	Dir  string `json:"dir"`  // where the history goes
	Name string `json:"name"` // of the history's file
	Seed uint64 `json:"seed"`

	Publisher *PublisherConfig `json:"publisher"`
	Clients   *ClientsConfig   `json:"clients"`
}

// actor is what runs. The commands are called from one goroutine.
type actor interface {
	run(ctx context.Context) error
	heal()
	await(ctx context.Context, seqs map[string]uint64) error
}

func main() {
	if err := act(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "actor:", err)
		os.Exit(1)
	}
}

func act(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("want one argument, a configuration file")
	}
	text, err := os.ReadFile(args[0]) //nolint:gosec // a file that the caller names
	if err != nil {
		return err
	}
	var cfg Config
	if err := json.Unmarshal(text, &cfg); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	log, err := history.Create(cfg.Dir, cfg.Name)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	var a actor
	switch {
	case cfg.Publisher != nil:
		a = newPublisher(cfg, log)
	case cfg.Clients != nil:
		a = newCrowd(cfg, log)
	default:
		return fmt.Errorf("%s: neither publisher nor clients", args[0])
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx) }()
	commands := make(chan error, 1)
	go func() {
		commands <- obey(ctx, a, in, out)
		cancel()
	}()
	// The end of the input is the end as well: whoever conducts the run has gone.
	err = <-ended
	cancel()
	select {
	case obeyed := <-commands:
		return errors.Join(err, obeyed)
	default:
		return err
	}
}

// obey carries out commands until "stop" or the end of the input.
func obey(ctx context.Context, a actor, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		command, argument, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "stop":
			return nil
		case "heal":
			a.heal()
		case "await":
			var seqs map[string]uint64
			if err := json.Unmarshal([]byte(argument), &seqs); err != nil {
				return fmt.Errorf("await: %w", err)
			}
			go func() { // "stop" can come before the answer
				answer := "there"
				if err := a.await(ctx, seqs); err != nil {
					answer = err.Error()
				}
				_, _ = fmt.Fprintln(out, answer) // who conducts the run waits for it, or has gone
			}()
		default:
			return fmt.Errorf("unknown command %q", command)
		}
	}
	return lines.Err()
}
