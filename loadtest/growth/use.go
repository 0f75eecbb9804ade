package main

import (
	"context"
	"errors"
	"time"

	"github.com/tidingsmesh/tidings/loadtest/report"
	"github.com/tidingsmesh/tidings/loadtest/runner/child"
	"github.com/tidingsmesh/tidings/loadtest/runner/proc"
)

// processUse is what a process has used: seconds, and bytes at present.
type processUse struct{ cpu, memory float64 }

// use of the only edge and of NATS.
type use struct{ edge, nats processUse }

// use is look after the edge has collected its garbage. NATS cannot be told to.
func (m *manyRooms) use(ctx context.Context) (use, error) {
	u, err := m.look()
	if err != nil {
		return use{}, err
	}
	for _, address := range m.target.Admin() {
		if !child.Answers("http://" + address + "/debug/pprof/heap?gc=1")(ctx) {
			return use{}, errors.New("the edge does not collect its garbage")
		}
	}
	const calm = 300 * time.Millisecond
	if err := rest(ctx, calm); err != nil {
		return use{}, err
	}
	now, err := m.look()
	u.edge.memory, u.nats.memory = now.edge.memory, now.nats.memory
	return u, err
}

func (m *manyRooms) look() (use, error) {
	var u use
	for _, p := range m.target.Processes() {
		cpu, err := proc.CPU(p.PID)
		if err != nil {
			return use{}, err
		}
		memory, err := proc.RSS(p.PID, true)
		if err != nil {
			return use{}, err
		}
		one := processUse{cpu.Seconds(), float64(memory)}
		if p.Role == report.Broker {
			u.nats = one
		} else {
			u.edge = one
		}
	}
	return u, nil
}
