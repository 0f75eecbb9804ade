package mesh

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidingsmesh/tidings/mesh/continuity"
	"github.com/tidingsmesh/tidings/subjects"
)

// feedMetrics are the feed's collectors. Labels are bounded: reasons only, never a room.
type feedMetrics struct {
	rooms       prometheus.Gauge
	events      prometheus.Counter
	quarantined *prometheus.CounterVec
	resumes     *prometheus.CounterVec
	resets      *prometheus.CounterVec
	fetches     prometheus.Counter
	repairs     prometheus.Counter
	rounds      prometheus.Counter
}

func newFeedMetrics(reg prometheus.Registerer) *feedMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "tidings_mesh_" + name, Help: help})
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tidings_mesh_" + name, Help: help}, []string{label})
	}
	m := &feedMetrics{
		rooms:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "tidings_mesh_rooms", Help: "Rooms this edge follows."}),
		events:      counter("events_total", "Events handed to this edge's clients, counted once per room."),
		quarantined: vec("quarantined_total", "Events that were not fit for browsers, by reason.", "reason"),
		resumes:     vec("resumes_total", "Joins that came with a position, by outcome.", "outcome"),
		resets:      vec("resets_total", "Rooms that lost continuity while clients were in them, by reason.", "reason"),
		fetches:     counter("fetches_total", "Reads of a room's history for clients that came back."),
		repairs:     counter("repairs_total", "Reads of a room's history because live events were missing."),
		rounds:      counter("rounds_total", "Comparisons of a set of rooms with the stream."),
	}
	m.resumes.WithLabelValues("recovered")
	for _, r := range continuity.Reasons() {
		m.resumes.WithLabelValues(string(r))
		m.resets.WithLabelValues(string(r))
	}
	for _, r := range append(subjects.Reasons(), reasonBadHeader, reasonOther) {
		m.quarantined.WithLabelValues(r)
	}
	if reg != nil {
		reg.MustRegister(m.rooms, m.events, m.quarantined, m.resumes, m.resets, m.fetches, m.repairs, m.rounds)
	}
	return m
}

func (m *feedMetrics) answered(a continuity.Answer) {
	switch {
	case a.First:
	case a.Reason == "":
		m.resumes.WithLabelValues("recovered").Inc()
	default:
		m.resumes.WithLabelValues(string(a.Reason)).Inc()
	}
}
