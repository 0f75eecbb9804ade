package edge

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tidingsmesh/tidings/authz"
	"github.com/tidingsmesh/tidings/edge/upgrade"
	"github.com/tidingsmesh/tidings/edge/wire"
)

// servePoll answers a poll: a session of a shard like any other, which lasts until it has something to say. Nothing of
// it is kept afterwards; see ADR 11. The request's own goroutine is the session's reader and writes the answer, so a
// client that does not read it delays nobody, and holds no more than a slow client's buffer until its time is over.
func (e *Edge) servePoll(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	h.Set("Cache-Control", "no-store")
	request, refused := e.acceptor.Examine(r)
	if refused != nil {
		e.refusePoll(w, refused.Status, refusal{uint16(4000 + refused.Status), refused.Message}) //nolint:gosec // an HTTP status
		return
	}
	if request.Origin != "" {
		h.Set("Access-Control-Allow-Origin", request.Origin)
	}
	switch {
	case r.Method == http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", "7200")
		w.WriteHeader(http.StatusNoContent)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		h.Set("Allow", "GET, POST, OPTIONS")
		e.refusePoll(w, http.StatusMethodNotAllowed, refusal{uint16(wire.CodeProtocol), "a poll is a GET or a POST request"})
		return
	}
	principal, rooms, no := e.admitPoll(w, r, request)
	var payloads [][]byte
	if no == nil {
		hello := note{kind: noteFrame, frame: wire.ClientFrame{Op: wire.OpHello, Rooms: rooms}, principal: principal}
		c, socket := e.newPoll(request)
		defer func() { c.shard.post(note{kind: noteGone, session: c}) }() // until then it counts, and so does what it holds
		if payloads, no = socket.answer(r.Context(), hello); r.Context().Err() != nil {
			e.metrics.polls.WithLabelValues("0").Inc()
			panic(http.ErrAbortHandler) // the client has left, and must not take an empty answer for one
		}
		// The server's own deadline ran while the poll was parked. On a dead connection writing fails, too.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(e.cfg.Limits.SlowTimeout))
	}
	if no != nil {
		e.refusePoll(w, int(no.code)-4000, *no) // 4401 is 401
		return
	}
	e.answerPoll(w, payloads)
}

// newPoll makes the session of a poll.
func (e *Edge) newPoll(r *upgrade.Request) (*session, *pollSocket) {
	c := &session{address: r.RemoteAddr, poll: true}
	e.enter(c)
	socket := &pollSocket{session: c, wake: make(chan struct{}, 1)}
	c.sock = socket
	return c, socket
}

// admitPoll reads what a poll asks for and decides whether it is served.
func (e *Edge) admitPoll(w http.ResponseWriter, r *http.Request, request *upgrade.Request) (p authz.Principal, rooms []wire.RoomRef, no *refusal) {
	switch {
	case e.draining.Load():
		return p, nil, &refusal{code: uint16(wire.CodeDraining)}
	case e.addressOver(r):
		w.Header().Set("Connection", "close")
		return p, nil, &refusal{uint16(wire.CodeLimit), limitReason("connections per address", e.cfg.Limits.PerAddress)}
	case request.Token == "":
		return p, nil, &refusal{uint16(wire.CodeUnauthorized), "no token: send one as Authorization: Bearer"}
	}
	if p, no = e.verify(r.Context(), request.Token); no != nil {
		return p, nil, no
	}
	text, no := e.readPoll(w, r)
	if no != nil {
		return p, nil, no
	}
	rooms, err := wire.DecodeRooms(text)
	if err != nil {
		no = &refusal{uint16(wire.CodeProtocol), err.Error()}
	}
	return p, rooms, no
}

// pollRoom is what a room with its position takes, in bytes, when names are long.
const pollRoom = 512

// readPoll returns the list of rooms that a poll asks for. As it asks for all of them at once, it may be longer than one
// message of a WebSocket.
func (e *Edge) readPoll(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	limit := max(e.cfg.Limits.Message, pollRoom*e.cfg.Limits.Rooms)
	tooLarge := &refusal{uint16(wire.CodeTooLarge), limitText("bytes of a poll", limit)}
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(limit)))
		if _, long := errors.AsType[*http.MaxBytesError](err); long {
			return nil, tooLarge
		} else if err != nil {
			return nil, &refusal{uint16(wire.CodeHelloTimeout), "the body of the poll did not arrive"}
		}
		return body, nil
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	switch lists := query["rooms"]; {
	case err != nil:
		return nil, &refusal{uint16(wire.CodeProtocol), "malformed query: rooms is a JSON array, percent-encoded"}
	case len(lists) != 1:
		return nil, &refusal{uint16(wire.CodeProtocol), "the query has rooms=… once: a JSON array, percent-encoded"}
	case len(lists[0]) > limit:
		return nil, tooLarge
	default:
		return []byte(lists[0]), nil
	}
}

// answerPoll sends frames as one JSON array.
func (e *Edge) answerPoll(w http.ResponseWriter, payloads [][]byte) {
	size := 1 + len(payloads)
	for _, payload := range payloads {
		size += len(payload)
	}
	e.startAnswer(w, http.StatusOK, size)
	before := "["
	for _, payload := range payloads {
		if _, err := io.WriteString(w, before); err != nil {
			return // the client has gone, or does not read
		}
		if _, err := w.Write(payload); err != nil { //nolint:gosec // JSON that says it is, and nosniff
			return
		}
		before = ","
	}
	_, _ = io.WriteString(w, "]")
	flush(w)
}

// flush sends what the server still holds back: once the session is gone, its connection may be closed.
func flush(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush() // a client that left needs no answer
}

// refusePoll answers with what a WebSocket would be closed with.
func (e *Edge) refusePoll(w http.ResponseWriter, status int, r refusal) {
	body, _ := json.Marshal(struct { // these always have a form
		Code   uint16 `json:"code"`
		Reason string `json:"reason"`
	}{r.code, cmp.Or(r.reason, wire.Code(r.code).String())})
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
	}
	e.startAnswer(w, status, len(body))
	_, _ = w.Write(body)
	flush(w)
}

func (e *Edge) startAnswer(w http.ResponseWriter, status, size int) {
	e.metrics.polls.WithLabelValues(strconv.Itoa(status)).Inc()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(size))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
}
