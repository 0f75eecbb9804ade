// Package report is the outcome of load tests: what one measured, as JSON, as text for terminals and as a page of HTML; whether it
// met its objectives; and what two of them differ in beyond the noise. It measures nothing itself.
package report

import (
	"fmt"
	"time"
)

// Format is the version of Result's JSON. A reader refuses any other.
const Format = 1

// Result is what one load test measured: one or several runs of one scenario against one target.
type Result struct {
	Format      int       `json:"format"`
	Scenario    string    `json:"scenario"` // name
	Description string    `json:"description,omitempty"`
	Target      Target    `json:"target"`
	Machine     Machine   `json:"machine"`
	Started     time.Time `json:"started"`
	Args        []string  `json:"args,omitempty"` // the command line, without secrets
	Runs        []Run     `json:"runs"`           // in the order they ran
}

// Target is what was put under load.
type Target struct {
	Name     string            `json:"name"`               // for people: "Tidings", "Socket.IO + Redis"
	Version  string            `json:"version,omitempty"`  // of the server
	Dialect  string            `json:"dialect"`            // what its clients spoke
	URLs     []string          `json:"urls,omitempty"`     // where they connected
	Servers  int               `json:"servers,omitempty"`  // how many processes took connections; 0: not known
	Settings map[string]string `json:"settings,omitempty"` // what else matters, versions of brokers included: "history" → "on"
}

// Machine is where the test ran. The harness was on it, too.
type Machine struct {
	CPU       string `json:"cpu,omitempty"` // model
	Cores     int    `json:"cores,omitempty"`
	Memory    uint64 `json:"memory_bytes,omitempty"`
	Kernel    string `json:"kernel,omitempty"` // release
	System    string `json:"system,omitempty"` // "linux/amd64"
	Go        string `json:"go,omitempty"`     // version that built the harness
	Harness   string `json:"harness,omitempty"`
	OpenFiles uint64 `json:"open_files,omitempty"` // limit per process
}

// String is the machine in a line, for the head of a table.
func (m Machine) String() string {
	const gibibyte = 1 << 30
	return fmt.Sprintf("%s, %d processors, %d GiB, Linux %s, %s", m.CPU, m.Cores, m.Memory/gibibyte, m.Kernel, m.Go)
}

// Run is one pass through all phases. Times on its axis are seconds since it began to connect. A value that could not be measured is
// zero, and everything about CPU and memory is when Processes is empty.
type Run struct {
	// The measured window: From and To on the run's axis, Seconds between them.
	From    float64 `json:"from_s"`
	To      float64 `json:"to_s"`
	Seconds float64 `json:"seconds"`

	// What was asked for.
	Clients int     `json:"clients"`
	Rooms   int     `json:"rooms"`
	Rate    float64 `json:"rate"`                 // events per second over all rooms
	Burst   int     `json:"burst,omitempty"`      // largest number of events at once in one room
	Size    int     `json:"size_bytes,omitempty"` // of an event's data, the mean by rate

	Connect   Connect   `json:"connect"`
	Publish   Publish   `json:"publish"`
	Deliver   Deliver   `json:"deliver"`
	Reconnect Reconnect `json:"reconnect"`
	Fault     *Fault    `json:"fault,omitempty"`

	Processes            []Process `json:"processes,omitempty"`
	CPUPerDelivery       float64   `json:"cpu_per_delivery_us"`        // µs of all Processes in the window
	ServerCPUPerDelivery float64   `json:"server_cpu_per_delivery_us"` // µs of those that are servers
	CPUPerJoin           float64   `json:"cpu_per_join_us"`            // µs of all Processes while connecting, per client that got in
	RSSPerConnection     float64   `json:"rss_per_connection_bytes"`   // growth of the servers' resident memory while connecting, per client that got in

	BytesIn          uint64  `json:"bytes_in"` // that clients received in the window, WebSocket framing included
	BytesPerDelivery float64 `json:"bytes_per_delivery"`

	// HarnessBusy is the share of the window, 0 to 1, in which the busiest process of the harness did not wait. Near 1 the harness
	// measures itself.
	HarnessBusy float64  `json:"harness_busy"`
	Samples     []Sample `json:"samples,omitempty"` // one per second
	Notes       []string `json:"notes,omitempty"`   // what a reader must know to judge the numbers
	Error       string   `json:"error,omitempty"`   // why the run ended early
}

// Connect is how clients got in: connection, authentication and the join of all rooms of a client.
type Connect struct {
	Attempted int            `json:"attempted"` // clients
	Succeeded int            `json:"succeeded"`
	Failed    int            `json:"failed"`             // clients that were not in at the end of the phase
	Failures  map[string]int `json:"failures,omitempty"` // failed tries by reason; a client that got in later counts here as well
	Seconds   float64        `json:"seconds"`            // from the first try until the last client was in or had given up
	JoinMs    Summary        `json:"join_ms"`            // from a client's try to its last room joined
}

// Publish is what the harness published in the window.
type Publish struct {
	Sent      uint64         `json:"sent"`
	Acked     uint64         `json:"acked"` // equal to Sent where the target acknowledges nothing
	Failed    uint64         `json:"failed"`
	Failures  map[string]int `json:"failures,omitempty"` // by reason
	PerSecond float64        `json:"per_second"`
	LateMs    Summary        `json:"late_ms"` // how far the publisher lagged behind its own schedule
}

// Deliver is what clients received of the window's events. Latency counts from the time at which an event should have been sent, so a
// server that stalls its publisher cannot look fast.
type Deliver struct {
	Expected     uint64       `json:"expected"` // events times the clients joined
	Received     uint64       `json:"received"`
	Missing      uint64       `json:"missing"` // without the client having been told of a loss
	Twice        uint64       `json:"twice"`
	OutOfOrder   uint64       `json:"out_of_order"`
	PerSecond    float64      `json:"per_second"`
	LatencyMs    Summary      `json:"latency_ms"`
	Distribution []Percentile `json:"distribution,omitempty"` // of latency, rising
}

// Percentile is one point of a distribution: this share of the values was at most this long.
type Percentile struct {
	Percentile float64 `json:"percentile"` // 0 to 100
	Ms         float64 `json:"ms"`
}

// Reconnect is how clients came back after they lost their connection.
type Reconnect struct {
	Count          int     `json:"count"`            // of connections that came back
	NotRecovered   int     `json:"not_recovered"`    // of rooms in which a client was told that continuity was lost
	Loops          int     `json:"loops"`            // clients that joined a room more than 12 times within a minute
	Seconds        Summary `json:"seconds"`          // from the loss until all rooms of a client were joined again
	AllBackSeconds float64 `json:"all_back_seconds"` // from the fault until the last client was back; 0 without a fault or when some did not come back
	Missing        int     `json:"missing"`          // clients that were not back at the end
}

// Fault is what was done to the target in the window.
type Fault struct {
	Kind        string  `json:"kind"`         // disconnect, kill, restart or drain
	At          float64 `json:"at_s"`         // on the run's axis
	DownSeconds float64 `json:"down_seconds"` // how long the target was left down on purpose
}

// Roles of a Process.
const (
	Server = "server" // takes clients' connections
	Broker = "broker" // stands behind servers: NATS, Redis
)

// Process is one process of the target. Memory is resident memory.
type Process struct {
	Name string `json:"name"` // "edge 1", "nats-server"
	PID  int    `json:"pid"`
	Role string `json:"role"`

	JoinCPU float64 `json:"join_cpu_s"` // seconds of CPU while connecting
	CPU     float64 `json:"cpu_s"`      // seconds of CPU in the window

	RSSBefore uint64  `json:"rss_before_bytes"` // before the first connection
	RSSJoined uint64  `json:"rss_joined_bytes"` // after the last join
	RSSEnd    uint64  `json:"rss_end_bytes"`
	RSSSlope  float64 `json:"rss_slope_bytes_per_hour"` // of a line through the window's samples
}

// Sample is one second of a run. Rates are per second over the second before T.
type Sample struct {
	T         float64 `json:"t"` // seconds on the run's axis
	Connected int     `json:"connected"`
	Received  float64 `json:"received"`
	Published float64 `json:"published"`
	P50       float64 `json:"p50_ms"` // latency of what was received in that second; 0 when nothing was
	P99       float64 `json:"p99_ms"`
	CPU       float64 `json:"cpu"`       // processors that Processes kept busy: 1.5 is one and a half
	RSS       uint64  `json:"rss_bytes"` // of all Processes
	Errors    float64 `json:"errors"`    // failed tries to connect and failed publishes
}

// Summary describes a set of values in the unit that its field names.
type Summary struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}
