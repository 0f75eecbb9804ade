// Package swarm is many cheap WebSocket clients for load tests: tens of thousands that join rooms, receive
// events, check that none is lost, repeated or out of order, and measure how long each took.
//
// [Start] starts worker processes. Each has one thread that drives raw sockets with epoll; a client is a
// small struct, and an event costs no allocation, so that the harness does not measure itself. How clients
// talk to a kind of server is a dialect; see dialect.go.
//
// Events carry a mark in their data ([AppendData]): their room, their number within it and the time at which
// they should have been sent. Linux only.
package swarm
