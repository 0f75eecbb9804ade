package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// print writes one frame as it came.
func (s *subscriber) print(text []byte) error {
	if bytes.ContainsAny(text, "\r\n") {
		var line bytes.Buffer
		if json.Compact(&line, text) == nil {
			text = line.Bytes()
		}
	}
	_, err := s.cfg.Out.Write(append(text, '\n'))
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe), errors.Is(err, os.ErrClosed):
		return errNobodyReads
	default:
		return fmt.Errorf("standard output: %w", err)
	}
}

// tellPlaces says where the rooms stand, for --since next time.
func (s *subscriber) tellPlaces() {
	for _, p := range s.places {
		if p.At == nil {
			continue
		}
		if at, err := json.Marshal(p.At); err == nil {
			s.note("%s stands at %s", p.Name, at)
		}
	}
}

func (s *subscriber) note(format string, args ...any) {
	fmt.Fprintf(s.cfg.Notes, "tidings sub: "+format+"\n", args...)
}

// showURL leaves out what may be nobody's business.
func showURL(s string) string {
	s, _, _ = strings.Cut(s, "?")
	return s
}

func tenths(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
