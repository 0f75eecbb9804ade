package main

import "github.com/tidingsmesh/tidings/loadtest/report"

// Names of numbers.
const (
	edgeDelivery = "edge-cpu-per-delivery"
	edgeEvent    = "edge-cpu-per-event" // and edge
	natsEvent    = "nats-cpu-per-event"
	latencyP99   = "latency-p99"
	edgeJoin     = "edge-cpu-per-join"
	natsJoin     = "nats-cpu-per-join"
	edgeMemory   = "edge-memory-per-connection"
	kernelMemory = "kernel-memory-per-socket"
	wireBytes    = "bytes-per-delivery"
	pingCost     = "edge-cpu-per-ping"
)

// numbersOf are those of a load; kernel is by how much the kernel's memory grew while the clients connected.
func numbersOf(s step, run *report.Run, kernel float64) numbers {
	var edge, nats, edgeIn, natsIn, memory float64
	for _, p := range run.Processes {
		if p.Role == report.Broker {
			nats, natsIn = p.CPU, p.JoinCPU
			continue
		}
		edge += p.CPU
		edgeIn += p.JoinCPU
		memory += float64(p.RSSJoined) - float64(p.RSSBefore)
	}
	clients := float64(run.Connect.Succeeded)
	const ends = 2 // the clients' sockets are on this machine, too
	all := numbers{
		edgeJoin: edgeIn / clients, natsJoin: natsIn / clients, edgeMemory: memory / clients, kernelMemory: kernel / clients / ends,
	}
	if events, deliveries := float64(run.Publish.Acked), float64(run.Deliver.Received); deliveries > 0 {
		all[edgeDelivery], all[wireBytes] = edge/deliveries, run.BytesPerDelivery
		all[edgeEvent], all[natsEvent] = edge/events/float64(s.edges), nats/events
		all[latencyP99] = run.Deliver.LatencyMs.P99 / 1000
	} else {
		all[pingCost] = edge / (run.Seconds / pingEvery.Seconds() * clients)
	}
	return all
}
