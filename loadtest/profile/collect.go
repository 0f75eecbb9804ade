package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/runner"
)

// slice is how long one profile of the processor is. A phase, whose length nobody knows before, is many of them, and one that its
// process did not live to finish is missing.
const slice = time.Second

// profiles are the files of a run.
type profiles struct {
	connect, load []string // of the processor, slice by slice
	heap          string
}

// stage is what there is to take.
type stage uint8

const (
	stageNothing stage = iota
	stageConnect       // clients come in
	stageLoad          // events flow
	stageHeap          // soon they will not
)

// stageOf is the one of a moment of a run.
func stageOf(s runner.Snapshot) stage {
	switch {
	case s.Phase == runner.PhaseConnect:
		return stageConnect
	case s.Phase == runner.PhaseMeasure && s.Elapsed < s.Length-2*slice: // one may have begun just now
		return stageLoad
	case s.Phase == runner.PhaseMeasure:
		return stageHeap
	default:
		return stageNothing
	}
}

// collector takes profiles of an edge as a run goes by. The run tells how far it is; what was taken is read at its end.
type collector struct {
	operators string // of the edge: http://host:port
	dir       string
	client    http.Client
	stage     stage // the last one; belongs to who calls progress
	stages    chan stage
	done      sync.WaitGroup

	taken profiles // once done
	lost  error
}

// newCollector starts it; end ends it.
func newCollector(ctx context.Context, operators, dir string) *collector {
	c := &collector{operators: operators, dir: dir, stages: make(chan stage, 8)}
	c.done.Go(func() { c.run(ctx) })
	return c
}

// progress hears of the run, from one goroutine. It does not block: a run has fewer stages than there are places for them.
func (c *collector) progress(s runner.Snapshot) {
	if next := stageOf(s); next != c.stage {
		c.stage = next
		c.stages <- next
	}
}

// end waits for what is under way, and returns what was taken. Nothing may be told any more.
func (c *collector) end() (profiles, error) {
	c.stages <- stageNothing // whatever the run ended in
	close(c.stages)
	c.done.Wait()
	c.client.CloseIdleConnections()
	return c.taken, c.lost
}

// run takes slices while it is the time for them.
func (c *collector) run(ctx context.Context) {
	for s := range c.stages {
		switch s {
		case stageNothing:
		case stageConnect:
			c.slices(ctx, &c.taken.connect)
		case stageLoad:
			c.slices(ctx, &c.taken.load)
		case stageHeap:
			c.taken.heap = filepath.Join(c.dir, "heap.pprof")
			c.lost = c.heap(ctx)
		}
	}
}

// heap takes what the edge holds, as soon as there is one: it may just have been killed.
func (c *collector) heap(ctx context.Context) error {
	for began := time.Now(); ; {
		err := c.fetch(ctx, "/debug/pprof/heap?gc=1", c.taken.heap)
		if err == nil || ctx.Err() != nil || time.Since(began) > patience {
			return err
		}
		pause(ctx)
	}
}

// patience bounds the wait for an edge that does not answer.
const patience = 30 * time.Second

// pause is what comes between two tries.
func pause(ctx context.Context) {
	select {
	case <-time.After(slice / 10):
	case <-ctx.Done():
	}
}

// slices takes one after the other until the next stage.
func (c *collector) slices(ctx context.Context, kind *[]string) {
	for len(c.stages) == 0 && ctx.Err() == nil {
		c.slice(ctx, kind)
	}
}

// slice takes one. The edge may just be killed or started: then there is none.
func (c *collector) slice(ctx context.Context, kind *[]string) {
	n := len(c.taken.connect) + len(c.taken.load) + 1
	path := filepath.Join(c.dir, "slice-"+strconv.Itoa(n)+".pprof")
	err := c.fetch(ctx, "/debug/pprof/profile?seconds="+strconv.Itoa(int(slice.Seconds())), path)
	if err != nil {
		pause(ctx)
		return
	}
	*kind = append(*kind, path)
}

// fetch writes what the operators' listener answers into a file.
func (c *collector) fetch(ctx context.Context, what, path string) error {
	ctx, cancel := context.WithTimeout(ctx, slice+patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.operators+what, nil)
	if err != nil {
		return err
	}
	response, err := c.client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it was read, or is of no use
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s", what, response.Status)
	case len(body) == 0:
		return fmt.Errorf("%s: %w", what, errors.New("no answer"))
	}
	return os.WriteFile(path, body, 0o600)
}
