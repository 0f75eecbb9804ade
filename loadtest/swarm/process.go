package swarm

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// workerProcess is a worker as the parent sees it.
type workerProcess struct {
	swarm *Swarm
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	mu    sync.Mutex // guards in
	done  chan struct{}

	// What follows is guarded by the swarm's mutex.
	last                         report // without histograms
	joinTime, latency, reconnect *hdrhistogram.Histogram
}

// endTime is what a worker gets to end by itself.
const endTime = 5 * time.Second

// lineLimit is the longest report; the usual ones are a few KiB.
const lineLimit = 16 << 20

// startWorker starts the i-th worker.
func (s *Swarm) startWorker(ctx context.Context, i int, argv []string, set *setup) (*workerProcess, error) {
	name := fmt.Sprintf("worker %d", i+1)
	if len(argv) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		argv = []string{self, "loadtest", "worker"}
	}
	w := &workerProcess{
		swarm: s, name: name, done: make(chan struct{}),
		joinTime: newHistogram(), latency: newHistogram(), reconnect: newHistogram(),
	}
	w.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // what the caller configured
	w.cmd.WaitDelay = endTime
	var said utterance
	w.cmd.Stderr = &said
	in, err := w.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	w.in = in
	go func() {
		defer close(w.done)
		err := w.listen(out)
		_ = w.cmd.Process.Kill() // it has closed its output, or says what cannot be understood
		if ended := w.cmd.Wait(); err == nil && ended != nil {
			err = ended
		}
		s.fail(diedError(name, err, said.String()))
	}()
	if err := w.tell(command{Do: doSetup, Setup: set}); err != nil {
		w.end()
		return nil, fmt.Errorf("%w: %s", err, said.String())
	}
	return w, nil
}

func diedError(name string, err error, said string) error {
	if said = strings.TrimSpace(said); said != "" {
		said = ": " + said
	}
	if err == nil {
		return fmt.Errorf("%s has ended%s", name, said)
	}
	return fmt.Errorf("%s has died: %w%s", name, err, said)
}

// listen takes reports until the worker's output ends. The error is one of its own, or nil.
func (w *workerProcess) listen(out io.Reader) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, lineLimit)
	for lines.Scan() {
		var r report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("it said %.200q, which is no report: %w", lines.Text(), err)
		}
		if r.Error != "" {
			return fmt.Errorf("it cannot go on: %s", r.Error)
		}
		if err := w.take(r); err != nil {
			return err
		}
		w.swarm.notify()
	}
	return nil
}

func (w *workerProcess) take(r report) error {
	w.swarm.mu.Lock()
	defer w.swarm.mu.Unlock()
	if r.Reset {
		w.latency.Reset()
		w.reconnect.Reset()
	}
	for _, h := range []struct {
		to      *hdrhistogram.Histogram
		encoded []byte
	}{{w.joinTime, r.JoinTime}, {w.latency, r.Latency}, {w.reconnect, r.Reconnect}} {
		if err := addHistogram(h.to, h.encoded); err != nil {
			return err
		}
	}
	r.JoinTime, r.Latency, r.Reconnect = nil, nil, nil
	w.last = r
	return nil
}

// tell gives it a command.
func (w *workerProcess) tell(c command) error {
	line, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.in.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	return nil
}

// end makes it end, and waits for that.
func (w *workerProcess) end() {
	kill := time.AfterFunc(endTime, func() { _ = w.cmd.Process.Kill() })
	defer kill.Stop()
	_ = w.in.Close() // not under mu: a command that it does not read may be held up there
	<-w.done
}

// utterance keeps the beginning of what a process says on its standard error.
type utterance struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (u *utterance) Write(b []byte) (int, error) {
	const enough = 4 << 10
	u.mu.Lock()
	defer u.mu.Unlock()
	u.text.Write(b[:min(len(b), max(enough-u.text.Len(), 0))])
	return len(b), nil
}

func (u *utterance) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.String()
}
