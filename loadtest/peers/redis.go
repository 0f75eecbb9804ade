package peers

import "net"

// redisProcess keeps everything in memory: no snapshot, no append-only file, which is the least that Redis can do.
func redisProcess(redis program, address, folder string) process {
	host, port, _ := net.SplitHostPort(address) // one of child.FreePorts
	return process{
		name: "redis-server", path: redis.path, listen: []string{address},
		args: []string{"--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", folder},
	}
}
