// Package subjects is the vocabulary of the mesh: rooms, the NATS subjects that
// carry them, and the events that travel on those subjects.
//
// It is the only place that spells a subject or reads an event. It is pure: no
// I/O, no clock except in NewEvent and NewID, no NATS import, nothing but the
// standard library. Everything in it is a value or a function of values, and is
// safe for concurrent use as long as nobody changes the slices and maps inside
// an Event that is being read.
//
// The sub-package schema checks the data of events against JSON Schemas.
package subjects
