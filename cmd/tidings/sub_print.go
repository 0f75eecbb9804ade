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

	"github.com/tidingsmesh/tidings/edge/follow"
	"github.com/tidingsmesh/tidings/edge/subscriber"
	"github.com/tidingsmesh/tidings/edge/wire"
)

var (
	errAllDenied   = errors.New("every room was denied")
	errNobodyReads = errors.New("nobody reads standard output") // the end of the command, not told to anybody
)

// subPrinter prints what a subscriber hears: frames for programs, one a line, and notes for people. A slow reader of the
// frames holds up the connection; nothing is buffered.
type subPrinter struct {
	out, notes io.Writer
	granted    map[string]bool // rooms that were not denied for good
}

func newSubPrinter(out, notes io.Writer, rooms []string) *subPrinter {
	p := &subPrinter{out: out, notes: notes, granted: make(map[string]bool, len(rooms))}
	for _, room := range rooms {
		p.granted[room] = true
	}
	return p
}

// Frame prints a frame, unless it is an event that is not to be applied.
func (p *subPrinter) Frame(f wire.ServerFrame, text []byte, outcome follow.Outcome, _ bool) error {
	if f.Op == wire.OpEvent && outcome != follow.New {
		return nil
	}
	if err := p.print(text); err != nil {
		return err
	}
	if f.Op == wire.OpDenied && !f.Retryable && p.granted[f.Room] {
		delete(p.granted, f.Room)
		if len(p.granted) == 0 {
			return fmt.Errorf("%w; the last one, %s: %s", errAllDenied, f.Room, f.Message)
		}
	}
	return nil
}

// Sending notes that a gap is being closed.
func (p *subPrinter) Sending(f wire.ClientFrame) {
	if f.Op != wire.OpJoin {
		return
	}
	for _, ref := range f.Rooms {
		if ref.Since != nil {
			p.note("%s: joining again from %d", ref.Room, ref.Since.Seq)
		}
	}
}

// Link notes what becomes of connections.
func (p *subPrinter) Link(e subscriber.LinkEvent) {
	url, next := showURL(e.URL), showURL(e.Next)
	switch e.Kind {
	case subscriber.LinkDialing:
	case subscriber.LinkConnected:
		p.note("connected to %s, edge %s", url, e.Edge)
	case subscriber.LinkMoved:
		p.note("moved to %s, edge %s", url, e.Edge)
	case subscriber.LinkDraining:
		p.note("%s goes within %s; moving to %s in %s", url, display(e.Within), next, tenths(e.Wait))
	case subscriber.LinkLost:
		p.note("lost %s: %s; trying %s in %s", url, e.Reason, next, tenths(e.Wait))
	case subscriber.LinkSuperseded:
		p.note("lost %s: %s; another connection is on its way", url, e.Reason)
	}
}

// print writes one frame as it came.
func (p *subPrinter) print(text []byte) error {
	if bytes.ContainsAny(text, "\r\n") {
		var line bytes.Buffer
		if json.Compact(&line, text) == nil {
			text = line.Bytes()
		}
	}
	_, err := p.out.Write(append(text, '\n'))
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
func (p *subPrinter) tellPlaces(rooms []string, places map[string]wire.Position) {
	for _, room := range rooms {
		at, ok := places[room]
		if !ok {
			continue
		}
		if text, err := json.Marshal(at); err == nil {
			p.note("%s stands at %s", room, text)
		}
	}
}

func (p *subPrinter) note(format string, args ...any) {
	fmt.Fprintf(p.notes, "tidings sub: "+format+"\n", args...)
}

// showURL leaves out what may be nobody's business.
func showURL(s string) string {
	s, _, _ = strings.Cut(s, "?")
	return s
}

func tenths(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
