package upgrade

import "bytes"

// deflateAnswer accepts permessage-deflate (RFC 7692) in the only form that is
// spoken here. Without context takeover of the server's, one compressed frame
// serves every receiver; without that of the client's, no window is kept for a
// connection. A server may ask for both whatever was offered.
const deflateAnswer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"

// offersDeflate reports whether a Sec-WebSocket-Extensions list has an offer
// that deflateAnswer may answer, and whether the list is well formed (RFC 6455,
// section 9.1). Offers that it may not answer are declined by being passed over.
func offersDeflate(list []byte) (offered, ok bool) {
	for more := true; more; {
		var element []byte
		element, list, more = bytes.Cut(list, []byte{','}) // a well-formed value has none in it
		name, parameters, some := bytes.Cut(element, []byte{';'})
		name = trim(name)
		if !isToken(name) {
			return false, false
		}
		acceptable := string(name) == "permessage-deflate"
		for seen := uint8(0); some; {
			var parameter []byte
			parameter, parameters, some = bytes.Cut(parameters, []byte{';'})
			key, value, ok := extensionParameter(parameter)
			if !ok {
				return false, false
			}
			bit := deflateParameter(key, value)
			acceptable = acceptable && bit != 0 && seen&bit == 0
			seen |= bit
		}
		offered = offered || acceptable
	}
	return offered, true
}

// extensionParameter splits "key", "key=value" or `key="value"`, whose value is
// a token, too.
func extensionParameter(b []byte) (key, value []byte, ok bool) {
	key, value, has := bytes.Cut(b, []byte{'='})
	key, value = trim(key), trim(value)
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1] // an escaped token is legal, and nobody's: \ is malformed here
	}
	return key, value, isToken(key) && (!has || isToken(value))
}

// deflateParameter returns a bit for each parameter of an offer that can be met,
// and 0 for any other: one that RFC 7692, section 7.1, does not know or with
// another value than it may have, and server_max_window_bits, because what is
// sent uses the whole window.
func deflateParameter(key, value []byte) uint8 {
	switch string(key) {
	case "server_no_context_takeover":
		if len(value) == 0 {
			return 1
		}
	case "client_no_context_takeover":
		if len(value) == 0 {
			return 2
		}
	case "client_max_window_bits":
		switch string(value) {
		case "", "8", "9", "10", "11", "12", "13", "14", "15":
			return 4
		}
	}
	return 0
}

// trim takes the white space off that may surround the parts of a list.
func trim(b []byte) []byte { return bytes.Trim(b, " \t") }
