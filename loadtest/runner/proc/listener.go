package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Listeners are the processes that listen on the TCP port on this machine, as far as this user may see: one of its own, or
// anyone's for root.
func Listeners(port int) []int {
	sockets := map[string]bool{} // what a descriptor of one links to
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if inode, ok := listening(line, port); ok {
				sockets["socket:["+inode+"]"] = true
			}
		}
	}
	if len(sockets) == 0 {
		return nil
	}
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	var pids []int
	for _, folder := range folders {
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err == nil && holds(pid, sockets) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// listening reads a line of /proc/net/tcp: number, local address, remote address, state … and the inode as the tenth.
func listening(line string, port int) (inode string, ok bool) {
	const local, state, socket, listen = 1, 3, 9, "0A"
	fields := strings.Fields(line)
	if len(fields) <= socket || fields[state] != listen {
		return "", false
	}
	return fields[socket], strings.HasSuffix(fields[local], fmt.Sprintf(":%04X", port))
}

// holds says whether the process has one of the sockets open.
func holds(pid int, sockets map[string]bool) bool {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	descriptors, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	for _, d := range descriptors {
		if link, err := os.Readlink(filepath.Join(folder, d.Name())); err == nil && sockets[link] {
			return true
		}
	}
	return false
}
