package main

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/tidingsmesh/tidings/loadtest/runner/proc"
	"github.com/tidingsmesh/tidings/mesh/meshtest"
)

func TestDemo_ItsEdgesDoNotOutliveIt(t *testing.T) {
	d := startDemo(t)
	edges := d.edges(t)
	d.signal(t, syscall.SIGKILL)
	assert.Equal(t, -1, d.exit(t))
	for _, e := range edges {
		meshtest.Eventually(t, func() bool {
			_, err := proc.CPU(e.PID)
			return err != nil
		}, "%s is gone", e.Name)
	}
}
