package upgrade

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/netip"

	"github.com/gobwas/ws"
)

// isUpgrade reports whether a request is meant as a WebSocket handshake for our
// endpoint, well made or not. Everything else is plain HTTP.
func (a *Acceptor) isUpgrade(h *head) bool {
	return string(h.path()) == a.cfg.Path && (h.has(fieldUpgrade) || h.has(fieldKey) || h.has(fieldVersion))
}

// examine checks a handshake against RFC 6455, section 4.2.1, refusing whatever
// two parsers could understand differently, and makes the Request of it.
func (a *Acceptor) examine(h *head, remote netip.Addr) (*Request, *Refusal) {
	const single = 1<<fieldHost | 1<<fieldUpgrade | 1<<fieldConnection | 1<<fieldKey |
		1<<fieldVersion | 1<<fieldOrigin | 1<<fieldAuthorization
	switch {
	case string(h.method) != "GET":
		return nil, refuseMethod
	case h.http10:
		return nil, refuseHTTP10
	case !plainTarget(h.target):
		return nil, refuseTarget
	case h.has(fieldContentLength) || h.has(fieldTransferEncoding):
		return nil, refuseBody
	case h.twice&single != 0:
		return nil, refuseDuplicate
	}
	request := &Request{Path: a.cfg.Path, Host: string(h.values[fieldHost]), RemoteAddr: remote}
	host, ok := parseHostPort(request.Host)
	if !ok {
		return nil, refuseHost
	}
	if !equalFold(h.values[fieldUpgrade], "websocket") {
		return nil, refuseUpgrade
	}
	if found, ok := inTokenList(h.values[fieldConnection], "upgrade", equalFold); !found || !ok {
		return nil, refuseConnection
	}
	switch {
	case len(h.values[fieldVersion]) == 0:
		return nil, refuseNoVersion
	case string(h.values[fieldVersion]) != "13":
		return nil, refuseVersion
	case !isKey(h.values[fieldKey]):
		return nil, refuseKey
	case h.protocolsBad:
		return nil, refuseProtocolList
	case !h.offered:
		return nil, a.refuseProtocol
	}
	if h.has(fieldOrigin) {
		request.Origin = string(h.values[fieldOrigin])
	}
	if refusal := a.identify(request, host, h.has(fieldOrigin), h.values[fieldAuthorization]); refusal != nil {
		return nil, refusal
	}
	// Offers that are spread over several headers, which no client does, are declined.
	if a.cfg.Deflate && h.has(fieldExtensions) && h.twice&(1<<fieldExtensions) == 0 {
		if request.Deflate, ok = offersDeflate(h.values[fieldExtensions]); !ok {
			return nil, refuseExtensions
		}
	}
	return request, nil
}

// identify says who a request comes from: whether its page, if it is from one, may connect, and with which token.
func (a *Acceptor) identify(request *Request, host hostPort, fromPage bool, authorization []byte) *Refusal {
	if fromPage && !a.origins.allows(request.Origin, host) {
		return refuseOrigin
	}
	token, ok := bearer(authorization)
	if !ok {
		return refuseToken
	}
	request.Token = string(token)
	return nil
}

// plainTarget reports whether a target has only characters that need no second
// look: printable ASCII without a fragment.
func plainTarget(target []byte) bool {
	for _, c := range target {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// isKey reports whether a Sec-WebSocket-Key is the base64 of 16 bytes.
func isKey(key []byte) bool {
	const size = 16
	var nonce [size + 2]byte // DecodedLen does not know of the padding
	if len(key) != base64.StdEncoding.EncodedLen(size) {
		return false
	}
	n, err := base64.StdEncoding.Decode(nonce[:], key)
	return err == nil && n == size
}

// bearer returns the token of an Authorization header, nothing if the header is
// missing or of another scheme (a proxy in front may use Basic for itself), and
// false for a Bearer header without a well-formed token (RFC 6750).
func bearer(value []byte) ([]byte, bool) {
	scheme, token, _ := bytes.Cut(value, []byte{' '})
	if !equalFold(scheme, "bearer") {
		return nil, true
	}
	token = bytes.Trim(token, " ")
	for _, c := range token {
		if !isAlphanumeric(c) && bytes.IndexByte([]byte("-._~+/="), c) < 0 {
			return nil, false
		}
	}
	return token, len(token) > 0
}

// switchProtocols answers a handshake that examine found good with 101. The
// head goes through gobwas's upgrader, so that a second, independent parser
// sees the very bytes that were examined; FuzzHandshake holds that it never
// disagrees. If it did, it would have answered with its own refusal. Extensions
// are negotiated by examine alone: its result goes into the answer as it is.
func (a *Acceptor) switchProtocols(conn io.Writer, head []byte, deflate bool) error {
	upgrader := &a.upgrader
	if deflate {
		upgrader = &a.deflateUpgrader
	}
	_, err := upgrader.Upgrade(struct {
		io.Reader
		io.Writer
	}{bytes.NewReader(head), conn})
	return err
}

// newUpgrader makes an upgrader whose answer has the lines of header, if it is
// not nil, as well.
func newUpgrader(protocol string, header ws.HandshakeHeader) ws.Upgrader {
	return ws.Upgrader{
		Protocol: func(offered []byte) bool { return string(offered) == protocol },
		Header:   header,
	}
}
