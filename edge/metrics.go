package edge

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidingsmesh/tidings/edge/wire"
)

// metrics are the edge's collectors. Labels come from closed sets: never a room, a user or a path.
type metrics struct {
	connections prometheus.Gauge
	opened      prometheus.Counter
	closed      *prometheus.CounterVec
	refused     *prometheus.CounterVec
	tokens      *prometheus.CounterVec
	joins       prometheus.Counter
	denied      *prometheus.CounterVec
	deliveries  prometheus.Counter
	bytes       prometheus.Counter
	lags        prometheus.Counter
	polls       *prometheus.CounterVec
	queued      prometheus.GaugeFunc
}

func newMetrics(reg prometheus.Registerer, queued func() float64) *metrics {
	name := func(s string) string { return "tidings_edge_" + s }
	counter := func(n, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name(n), Help: help})
	}
	vec := func(n, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name(n), Help: help}, []string{label})
	}
	m := &metrics{
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: name("connections"), Help: "Open WebSocket connections, and polls that are being answered."}),
		opened:      counter("connections_opened_total", "WebSocket connections that completed their handshake."),
		closed:      vec("connections_closed_total", "Connections that ended, by close code; gone: without a close frame.", "code"),
		refused:     vec("handshakes_refused_total", "Connections refused before the upgrade, by reason.", "reason"),
		tokens:      vec("tokens_refused_total", "Tokens refused, by rule.", "rule"),
		joins:       counter("joins_total", "Rooms joined."),
		denied:      vec("joins_denied_total", "Joins denied, by code.", "code"),
		deliveries:  counter("deliveries_total", "Events handed to sockets, counted once per receiver."),
		bytes:       counter("delivered_bytes_total", "Bytes of those events, with their frame headers."),
		lags:        counter("lags_total", "Times a client fell so far behind in a room that it reads on from the log."),
		polls:       vec("polls_total", "Polls by the HTTP status of their answer; 0: the client left before it.", "status"),
		queued: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name("queued_bytes"), Help: "Bytes queued for slow clients.",
		}, queued),
	}
	for _, info := range wire.Codes() {
		m.closed.WithLabelValues(codeLabel(info.Code))
	}
	for _, code := range []string{wire.DeniedForbidden, wire.DeniedBadRoom, wire.DeniedLimit, wire.DeniedRate} {
		m.denied.WithLabelValues(code)
	}
	if reg != nil {
		reg.MustRegister(m.connections, m.opened, m.closed, m.refused, m.tokens, m.joins, m.denied,
			m.deliveries, m.bytes, m.lags, m.polls, m.queued)
	}
	return m
}

// sent counts one turn of a shard.
func (m *metrics) sent(frames, bytes int) {
	if frames > 0 {
		m.deliveries.Add(float64(frames))
		m.bytes.Add(float64(bytes))
	}
}

// codeLabel keeps the label set closed: clients may close with any code.
func codeLabel(code wire.Code) string {
	if _, ok := code.Info(); ok {
		return strconv.Itoa(int(code))
	}
	switch code {
	case 1000, 1001, 1002, 1003, 1007, 1009:
		return strconv.Itoa(int(code))
	default:
		return "other"
	}
}
