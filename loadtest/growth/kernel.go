package main

import (
	"os"
	"strconv"
	"strings"

	"github.com/tidingsmesh/tidings/loadtest/runner"
)

// kernelUse is by how much the kernel's memory grows while clients connect: its objects (Slab of proc(5), meminfo) and the buffers of TCP
// (sockstat). Both are those of the machine, so whatever else goes on there is in them.
type kernelUse struct {
	before, after float64
}

// look is called with the phases of a run as they pass.
func (k *kernelUse) look(p runner.Phase) {
	switch {
	case p == runner.PhasePrepare:
		k.before = kernelBytes()
	case k.after == 0 && p != runner.PhaseConnect:
		k.after = kernelBytes()
	}
}

func (k *kernelUse) grown() float64 { return k.after - k.before }

// kernelBytes is 0 where the kernel does not tell.
func kernelBytes() float64 {
	meminfo, _ := os.ReadFile("/proc/meminfo")
	sockets, _ := os.ReadFile("/proc/net/sockstat")
	return wordAfter(string(meminfo), "Slab:", "")*1024 + wordAfter(string(sockets), "TCP:", "mem")*float64(os.Getpagesize())
}

// wordAfter is the number behind a word in the line that begins with another; an empty word is the beginning itself.
func wordAfter(text, line, word string) float64 {
	for l := range strings.Lines(text) {
		fields := strings.Fields(l)
		if len(fields) == 0 || fields[0] != line {
			continue
		}
		for i, field := range fields[:len(fields)-1] {
			if field == word || word == "" && i == 0 {
				n, _ := strconv.ParseFloat(fields[i+1], 64)
				return n
			}
		}
	}
	return 0
}
