package link

import (
	"bytes"
	"strconv"
)

// DropMessages is a Filter for what a NATS server sends to a client: it takes out the messages that drop
// says yes to and passes everything else, so that a subscriber misses them as it would any message that
// was not sent. TLS and compression cannot be looked into.
func DropMessages(drop func(subject string) bool) Filter {
	var kept []byte // the beginning of something that is not complete
	return func(b []byte) []byte {
		kept = append(kept, b...)
		out := make([]byte, 0, len(kept))
		for {
			end := bytes.Index(kept, []byte("\r\n"))
			if end < 0 {
				return out
			}
			line := kept[:end]
			size := end + 2
			if fields := bytes.Fields(line); len(fields) >= 4 && (string(fields[0]) == "MSG" || string(fields[0]) == "HMSG") {
				n, err := strconv.Atoi(string(fields[len(fields)-1]))
				if err != nil {
					out = append(out, kept...) // not what it looks like: let all of it pass
					kept = kept[:0]
					return out
				}
				size += n + 2
				if len(kept) < size {
					return out
				}
				if drop(string(fields[1])) {
					kept = kept[size:]
					continue
				}
			}
			out = append(out, kept[:size]...)
			kept = kept[size:]
		}
	}
}
