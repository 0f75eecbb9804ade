// Package chaos_test breaks a whole installation again and again, while workers publish and clients listen,
// and has every history of it judged: three nats-server processes with a stream of three replicas, two
// edges, four publishers and two hundred clients, a TCP link on each way between them, and a list of faults
// that a seed puts in order. `go test` runs a short one with a fixed seed; `make chaos` runs the whole list.
package chaos_test
