// Package peers runs what one would use instead of Tidings, as its own documentation recommends, as targets of load tests:
// Socket.IO with Redis, Centrifugo, and the WebSocket listener of nats-server. Each consists of real processes, which are built
// or found by [Tools] and end with the target. README.md says how each is set up and why.
package peers
