package upgrade

import "bytes"

// A field is a header that the handshake looks at.
type field uint8

const (
	fieldHost field = iota
	fieldUpgrade
	fieldConnection
	fieldKey
	fieldVersion
	fieldOrigin
	fieldAuthorization
	fieldContentLength
	fieldTransferEncoding
	fieldExtensions
	fieldProtocol // may be there several times
	fieldCount
	fieldOther = fieldCount
)

// head is a request head that is well formed: CR LF line ends, one space
// between the parts of the request line, header names that are tokens directly
// followed by their colon, values without control characters, no folded lines.
// All of it net/http reads as the same request. Its slices lie in the bytes it
// was parsed from.
type head struct {
	method, target []byte
	http10         bool
	values         [fieldCount][]byte // without surrounding white space; the first of duplicates
	seen, twice    uint16             // bit sets of fields

	// offered says that the protocol wanted is in a Sec-WebSocket-Protocol
	// header, and protocolsBad that one is not a list of tokens.
	offered, protocolsBad bool
}

func (h *head) has(f field) bool { return h.seen&(1<<f) != 0 }

// path is the request target without its query.
func (h *head) path() []byte {
	path, _, _ := bytes.Cut(h.target, []byte{'?'})
	return path
}

// headScanner finds the end of a request head while its bytes arrive.
type headScanner struct {
	pos   int // bytes scanned
	line  int // where the current line begins
	lines int // complete lines
}

// scan goes on in b, which begins with all bytes scanned before. It returns the
// size of the head including its empty line, 0 when that is still to come.
func (s *headScanner) scan(b []byte, a *Acceptor) (int, *Refusal) {
	for {
		i := bytes.IndexByte(b[s.pos:], '\n')
		if i < 0 {
			s.pos = len(b)
			return 0, nil
		}
		end := s.pos + i
		switch {
		case end == 0 || b[end-1] != '\r':
			return 0, refuseBareLF
		case end-1 == s.line && s.lines == 0:
			return 0, refuseRequestLine
		case end-1 == s.line:
			return end + 1, nil
		}
		if s.lines++; s.lines-1 > a.cfg.MaxHeaders { // the first is the request line
			return 0, a.refuseHeaders
		}
		s.pos, s.line = end+1, end+1
	}
}

var crlf = []byte("\r\n")

// parseHead parses a complete head as headScanner found it. protocol is the
// subprotocol to look for.
func parseHead(b []byte, protocol string) (head, *Refusal) {
	var h head
	line, rest, _ := bytes.Cut(b, crlf)
	if refusal := h.requestLine(line); refusal != nil {
		return h, refusal
	}
	for {
		line, rest, _ = bytes.Cut(rest, crlf)
		if len(line) == 0 {
			return h, nil
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 || !isToken(line[:colon]) || !isFieldValue(line[colon+1:]) {
			return h, refuseHeader
		}
		f := fieldOf(line[:colon])
		if f == fieldOther {
			continue
		}
		value := bytes.Trim(line[colon+1:], " \t")
		switch {
		case f == fieldProtocol:
			offered, ok := inTokenList(value, protocol, bytesEqual)
			h.offered = h.offered || offered
			h.protocolsBad = h.protocolsBad || !ok
		case h.has(f):
			h.twice |= 1 << f
		default:
			h.values[f] = value
		}
		h.seen |= 1 << f
	}
}

func (h *head) requestLine(line []byte) *Refusal {
	method, rest, _ := bytes.Cut(line, []byte{' '})
	target, version, ok := bytes.Cut(rest, []byte{' '})
	if !ok || !isToken(method) || len(target) == 0 {
		return refuseRequestLine
	}
	for _, c := range target {
		if c <= ' ' || c == 0x7f {
			return refuseRequestLine
		}
	}
	h.method, h.target = method, target
	switch string(version) {
	case "HTTP/1.1":
	case "HTTP/1.0":
		h.http10 = true
	default:
		return refuseHTTPVersion
	}
	return nil
}

// fieldOf says which field a header name means.
func fieldOf(name []byte) field {
	var f field
	var want string
	switch len(name) {
	case 4:
		f, want = fieldHost, "host"
	case 6:
		f, want = fieldOrigin, "origin"
	case 7:
		f, want = fieldUpgrade, "upgrade"
	case 10:
		f, want = fieldConnection, "connection"
	case 13:
		f, want = fieldAuthorization, "authorization"
	case 14:
		f, want = fieldContentLength, "content-length"
	case 17:
		if name[0]|0x20 == 't' {
			f, want = fieldTransferEncoding, "transfer-encoding"
		} else {
			f, want = fieldKey, "sec-websocket-key"
		}
	case 21:
		f, want = fieldVersion, "sec-websocket-version"
	case 22:
		f, want = fieldProtocol, "sec-websocket-protocol"
	case 24:
		f, want = fieldExtensions, "sec-websocket-extensions"
	default:
		return fieldOther
	}
	if !equalFold(name, want) {
		return fieldOther
	}
	return f
}
