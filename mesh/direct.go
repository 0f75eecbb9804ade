package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Headers that the server appends to republished messages and to direct-get
// replies. Publishers can send headers of the same names; the server keeps
// theirs in front of its own, so only the last value of each may be believed.
const (
	hdrSubject     = "Nats-Subject"
	hdrSequence    = "Nats-Sequence"
	hdrTime        = "Nats-Time-Stamp"
	hdrLast        = "Nats-Last-Sequence"
	hdrPending     = "Nats-Num-Pending"
	hdrUpTo        = "Nats-UpTo-Sequence"
	hdrStatus      = "Status"
	hdrDescription = "Description"
)

const (
	// maxMultiSubjects keeps a multi_last request below the 1024 subjects
	// that the server answers for, and the request below max_payload.
	maxMultiSubjects = 1000
	// maxMultiPages bounds how often one multi_last is continued because its
	// answer was larger than multiPageBytes.
	maxMultiPages  = 64
	multiPageBytes = 4 << 20
	// directIdle is how long a reader waits for the next message of a reply.
	// A stream leader change takes longer; callers retry.
	directIdle = 3 * time.Second
	// maxHiddenHeader is the largest part of a header block that may stay
	// unaccounted for; see headerComplete.
	maxHiddenHeader = 119
)

// Stored is a message as the stream holds it.
type Stored struct {
	Subject string
	Seq     uint64
	// Prev is the sequence of the message before it in the same reply, 0 for
	// the first of a reply. A chain of these without a gap is what proves a
	// batch complete.
	Prev uint64
	Time time.Time // server time; zero when Unreadable
	// Header as the publisher sent it plus what the server appended; nil when
	// Unreadable.
	Header nats.Header
	Data   []byte
	// Unreadable says that the publisher's header block cannot be decoded or
	// hides what the server appended. The message has its place in the room,
	// but nothing that it says about itself may be believed.
	Unreadable bool
}

// directReader reads one stream through the direct-get API (ADR-31), which
// any replica answers. It is not linearizable: whoever needs to know that an
// answer is fresh compares upTo with the sequence of an acked publish. Safe
// for concurrent use; it starts no goroutine and needs no closing.
type directReader struct {
	nc      *nats.Conn
	stream  string
	subject string
	idle    time.Duration
}

func newDirectReader(nc *nats.Conn, stream string) *directReader {
	return &directReader{nc: nc, stream: stream, subject: "$JS.API.DIRECT.GET." + stream, idle: directIdle}
}

type directRequest struct {
	Seq       uint64   `json:"seq,omitempty"`
	NextFor   string   `json:"next_by_subj,omitempty"`
	MultiLast []string `json:"multi_last,omitempty"`
	Batch     int      `json:"batch,omitempty"`
	MaxBytes  int      `json:"max_bytes,omitempty"`
}

// directReply is one complete answer: its messages and its end marker.
type directReply struct {
	msgs    []Stored
	pending uint64 // messages that matched but did not fit
	last    uint64 // sequence of the last message sent
	upTo    uint64 // multi only: the stream's last sequence when it was read
}

// multiLast returns the last message of each subject whose sequence is at
// least minSeq, ascending, and the sequence up to which the answering replica
// had the stream. An answer without any message carries no upTo, therefore
// 404 is an error here: include a subject that is known to match. A subject
// may come twice when the answer took several pages; the later one counts.
func (r *directReader) multiLast(ctx context.Context, subjects []string, minSeq uint64) (msgs []Stored, upTo uint64, err error) {
	if len(subjects) == 0 || len(subjects) > maxMultiSubjects {
		return nil, 0, fmt.Errorf("last of %d subjects: %w", len(subjects), errTooManySubjects)
	}
	// seq 0 and 1 mean the same to the server.
	req := directRequest{MultiLast: subjects, Seq: minSeq, MaxBytes: multiPageBytes}
	for range maxMultiPages {
		page, err := r.read(ctx, req, len(subjects))
		if err != nil {
			if len(msgs) > 0 && isNotFound(err) {
				return msgs, upTo, nil // what was pending has been evicted
			}
			return nil, 0, fmt.Errorf("last of %d subjects from %d: %w", len(subjects), minSeq, err)
		}
		if upTo == 0 {
			upTo = page.upTo // later pages are fresher; the first bounds them all
		}
		for _, m := range page.msgs {
			if m.Unreadable {
				if m.Subject, err = r.subjectAt(ctx, m.Seq); err != nil {
					return nil, 0, fmt.Errorf("subject of %d: %w", m.Seq, err)
				}
			}
			msgs = append(msgs, m)
		}
		if page.pending == 0 {
			return msgs, upTo, nil
		}
		req.Seq = page.last + 1
	}
	return nil, 0, fmt.Errorf("last of %d subjects from %d: answer exceeds %d pages: %w",
		len(subjects), minSeq, maxMultiPages, errTooManySubjects)
}

// batch returns up to max messages of subject with a sequence of from or
// later, oldest first, fewer when they exceed maxBytes (but at least one),
// and how many more there were. last is the sequence of the last one. A subject
// without such messages is an empty result, not an error. Every result has an
// unbroken chain and its end marker; anything else is errBrokenBatch.
func (r *directReader) batch(ctx context.Context, subject string, from uint64, max, maxBytes int) (msgs []Stored, pending, last uint64, err error) {
	req := directRequest{Seq: from, NextFor: subject, Batch: max, MaxBytes: maxBytes}
	reply, err := r.read(ctx, req, max)
	if errors.Is(err, errUnreadable) && max > 1 {
		// Two messages in a row hide their sequence. Alone, the end marker
		// gives it.
		req.Batch = 1
		reply, err = r.read(ctx, req, 1)
	}
	switch {
	case isNotFound(err):
		return nil, 0, 0, nil
	case err != nil:
		return nil, 0, 0, fmt.Errorf("read %s from %d: %w", subject, from, err)
	}
	for i := range reply.msgs {
		m := &reply.msgs[i]
		if m.Unreadable {
			m.Subject = subject
		}
		if m.Subject != subject || m.Seq < from {
			return nil, 0, 0, fmt.Errorf("read %s from %d: got %s at %d: %w", subject, from, m.Subject, m.Seq, errBrokenBatch)
		}
	}
	return reply.msgs, reply.pending, reply.last, nil
}

// subjectAt asks for the subject of one message, which its unreadable header
// does not tell. The stream's leader answers.
func (r *directReader) subjectAt(ctx context.Context, seq uint64) (string, error) {
	var reply struct {
		Message struct {
			Subject string `json:"subject"`
		} `json:"message"`
	}
	if err := apiRequest(ctx, r.nc, "$JS.API.STREAM.MSG.GET."+r.stream, directRequest{Seq: seq}, &reply); err != nil {
		return "", err
	}
	return reply.Message.Subject, nil
}

// errUnreadable says that a message's place in the chain cannot be told.
var errUnreadable = fmt.Errorf("message with undecodable header: %w", errBrokenBatch)

func isNotFound(err error) bool {
	var status *statusError
	return errors.As(err, &status) && status.Code == "404"
}

// read sends one request and collects its answer until the end marker. want
// is the largest number of messages that the request can bring.
func (r *directReader) read(ctx context.Context, req directRequest, want int) (directReply, error) {
	body, err := json.Marshal(req)
	if err != nil {
		return directReply{}, err
	}
	// A channel of its own per request holds the whole answer, so that the
	// connection's reader never waits and a late answer meets nobody.
	ch := make(chan *nats.Msg, want+1)
	inbox := r.nc.NewInbox()
	sub, err := r.nc.ChanSubscribe(inbox, ch)
	if err != nil {
		return directReply{}, wrapConn(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := r.nc.PublishRequest(r.subject, inbox, body); err != nil {
		return directReply{}, wrapConn(err)
	}

	var reply directReply
	idle := time.NewTimer(r.idle)
	defer idle.Stop()
	for {
		select {
		case m := <-ch:
			idle.Reset(r.idle)
			if stored, ok := parseStored(m); ok {
				if err := reply.add(stored); err != nil {
					return directReply{}, err
				}
				continue
			}
			status := headerLast(m.Header, hdrStatus)
			switch {
			case status == "" || len(m.Data) > 0 || !headerComplete(m):
				// A stored message that hides its sequence.
				if err := reply.add(Stored{Data: m.Data, Unreadable: true}); err != nil {
					return directReply{}, err
				}
			case status == "204":
				return reply, reply.end(m.Header)
			case status == "413":
				return directReply{}, errTooManySubjects
			case status == "503":
				return directReply{}, ErrUnavailable
			default:
				return directReply{}, &statusError{Code: status, Description: headerLast(m.Header, hdrDescription)}
			}
		case <-idle.C:
			return directReply{}, fmt.Errorf("no answer for %s after %d messages: %w", r.idle, len(reply.msgs), ErrUnavailable)
		case <-ctx.Done():
			return directReply{}, context.Cause(ctx)
		}
	}
}

// add appends a message if it continues the chain. The sequence of a message
// whose header cannot be read is learnt from the one that follows.
func (r *directReply) add(m Stored) error {
	if len(r.msgs) > 0 {
		before := &r.msgs[len(r.msgs)-1]
		if before.Seq == 0 {
			if m.Seq == 0 {
				return errUnreadable
			}
			before.Seq = m.Prev
		}
		if m.Seq != 0 && (m.Prev != before.Seq || m.Seq <= before.Seq) || before.Seq <= before.Prev {
			return fmt.Errorf("%d after %d says %d: %w", m.Seq, before.Seq, m.Prev, errBrokenBatch)
		}
		m.Prev = before.Seq
	} else if m.Seq != 0 && m.Prev != 0 {
		return fmt.Errorf("first message %d says %d: %w", m.Seq, m.Prev, errBrokenBatch)
	}
	r.msgs = append(r.msgs, m)
	return nil
}

// end checks the chain against the end marker.
func (r *directReply) end(h nats.Header) error {
	var err error
	if r.last, err = strconv.ParseUint(headerLast(h, hdrLast), 10, 64); err != nil {
		return fmt.Errorf("end marker without sequence: %w", errBrokenBatch)
	}
	if r.pending, err = strconv.ParseUint(headerLast(h, hdrPending), 10, 64); err != nil {
		return fmt.Errorf("end marker without count: %w", errBrokenBatch)
	}
	if s := headerLast(h, hdrUpTo); s != "" {
		if r.upTo, err = strconv.ParseUint(s, 10, 64); err != nil {
			return fmt.Errorf("end marker with bad upper bound: %w", errBrokenBatch)
		}
	}
	if len(r.msgs) == 0 {
		return fmt.Errorf("end marker without a message: %w", errBrokenBatch)
	}
	tail := &r.msgs[len(r.msgs)-1]
	if tail.Seq == 0 && r.last > tail.Prev {
		tail.Seq = r.last
	}
	if tail.Seq != r.last {
		return fmt.Errorf("ends at %d, last message is %d: %w", r.last, tail.Seq, errBrokenBatch)
	}
	return nil
}

// parseStored reads a direct-get reply that carries a message. Status replies
// never carry a sequence, so a publisher's own Status header cannot pass for one.
func parseStored(m *nats.Msg) (Stored, bool) {
	seq, prev, ts, ok := parseLive(m)
	if !ok {
		return Stored{}, false
	}
	return Stored{
		Subject: headerLast(m.Header, hdrSubject),
		Seq:     seq, Prev: prev, Time: ts,
		Header: m.Header, Data: m.Data,
	}, true
}

// parseLive reads what the stream appended to a republished message: its
// sequence, that of the message before it in the same room (0 when none is
// retained), and when it was stored. ok is false when the publisher's header
// block is such that these cannot be told; the stream then knows better.
func parseLive(m *nats.Msg) (seq, prev uint64, ts time.Time, ok bool) {
	seq, err := strconv.ParseUint(headerLast(m.Header, hdrSequence), 10, 64)
	if err != nil || seq == 0 || !headerComplete(m) {
		return 0, 0, time.Time{}, false
	}
	prev, err = strconv.ParseUint(headerLast(m.Header, hdrLast), 10, 64)
	if err != nil || prev >= seq {
		return 0, 0, time.Time{}, false
	}
	ts, err = time.Parse(time.RFC3339Nano, headerLast(m.Header, hdrTime))
	if err != nil {
		return 0, 0, time.Time{}, false
	}
	return seq, prev, ts, true
}

// headerComplete reports whether m.Header is all of the header block that
// arrived. A publisher that speaks the protocol by hand can end its block
// twice; the server appends its headers after the second end, the client stops
// at the first and never sees them. What the server appends takes 120 bytes or
// more, so a block with fewer bytes unaccounted for hides nothing of it.
func headerComplete(m *nats.Msg) bool {
	block := m.Size() - len(m.Subject) - len(m.Reply) - len(m.Data)
	parsed := len("NATS/1.0\r\n\r\n")
	for key, values := range m.Header {
		for _, value := range values {
			parsed += len(key) + len(":") + len(value) + len("\r\n")
		}
	}
	return block-parsed <= maxHiddenHeader
}

// headerLast returns the last value of a header, "" when it is absent. Unlike
// Header.Get it cannot be misled by a publisher's earlier value.
func headerLast(h nats.Header, key string) string {
	values := h[key]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// wrapConn gives errors of the connection itself the sentinel that callers
// retry on.
func wrapConn(err error) error {
	if neverSent(err) {
		err = errNotUp
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
