// Package proc reads from /proc what processes of this machine use, and who listens where (proc(5)). Where there is no such
// folder every process is ErrGone and nobody listens.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ErrGone says that there is no such process, or none that may be looked at.
var ErrGone = errors.New("no such process")

// tick is the unit of times in /proc/PID/stat: USER_HZ is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// CPU is the processor time that the process has used so far, user and system, all threads, ended ones included. It is exact
// to the nanosecond where the kernel tells each thread's time (schedstat), else to 10 ms.
func CPU(pid int) (time.Duration, error) {
	coarse, err := statTime(pid)
	if err != nil {
		return 0, err
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return coarse, nil
	}
	var fine time.Duration
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		first, _, _ := bytes.Cut(text, []byte(" "))
		ns, err := strconv.ParseInt(string(first), 10, 64)
		if err != nil {
			return coarse, nil
		}
		fine += time.Duration(ns)
	}
	// Threads that have ended are in the coarse time only. Go's hardly ever do.
	if coarse-fine > 2*tick {
		return coarse, nil
	}
	return fine, nil
}

// statTime is utime and stime, fields 14 and 15.
func statTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	// The name, field 2, is in brackets and may hold anything.
	rest := string(text[bytes.LastIndexByte(text, ')')+1:])
	fields := strings.Fields(rest)
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return 0, fmt.Errorf("process %d: %w: its stat has %d fields", pid, ErrGone, len(fields))
	}
	var sum time.Duration
	for _, field := range []string{fields[user], fields[system]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("process %d: time %q: %w", pid, field, err)
		}
		sum += time.Duration(n) * tick
	}
	if fields[0] == "Z" { // ended, and its parent has not looked yet
		return sum, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	return sum, nil
}

// RSS is the process's resident memory in bytes. The exact one walks its pages, a millisecond per gigabyte; the other may
// be off by some pages per processor.
func RSS(pid int, exact bool) (uint64, error) {
	if exact {
		if kib, err := field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Rss:"); err == nil {
			return kib << 10, nil
		}
	}
	kib, err := field(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:")
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	return kib << 10, nil
}

// field is the number behind a name at the beginning of a line.
func field(path, name string) (uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, ErrGone
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		return strconv.ParseUint(number, 10, 64)
	}
	return 0, fmt.Errorf("%s has no %s: %w", path, name, ErrGone)
}

// Name is the process's program without its folder, "" when it is gone.
func Name(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	program, _, _ := bytes.Cut(text, []byte{0})
	if len(program) == 0 {
		text, _ = os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return strings.TrimSpace(string(text))
	}
	return filepath.Base(string(program))
}
