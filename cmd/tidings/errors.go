package main

import "strings"

// usageError is what the user has to change before anything can start; the process ends with status 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// settingError is a value that cannot be used, named by where it was written: "--ping", "TIDINGS_PING" or
// "tidings.yaml:7: ping".
type settingError struct {
	origin string
	err    error
}

func (e *settingError) Error() string { return e.origin + ": " + e.err.Error() }
func (e *settingError) Unwrap() error { return e.err }

// problems are all that is wrong at once, so that a configuration is put right in one round.
type problems []error

func (p problems) Error() string {
	lines := make([]string, len(p))
	for i, err := range p {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

func (p problems) Unwrap() []error { return p }

// asError is nil when there is no problem.
func (p problems) asError() error {
	if len(p) == 0 {
		return nil
	}
	return &usageError{err: p}
}
