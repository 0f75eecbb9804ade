package runner

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/tidingsmesh/tidings/loadtest/report"
)

// machine is what there is to know of this one. What cannot be read stays empty.
func machine() report.Machine {
	m := report.Machine{
		Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), OpenFiles: openFiles(),
		CPU: lineOf("/proc/cpuinfo", "model name"),
	}
	if kib, err := strconv.ParseUint(strings.TrimSuffix(lineOf("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.Memory = kib << 10
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
	return m
}

// lineOf is what stands behind "key:" in a file of the kernel.
func lineOf(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, found := strings.Cut(lines.Text(), ":")
		if found && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
