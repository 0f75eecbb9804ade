package upgrade

import (
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Request is what a client said in a handshake that is valid so far.
type Request struct {
	// Path is Config.Path.
	Path string
	// Host is the Host header as sent.
	Host string
	// Origin is the Origin header as sent, empty when there was none.
	Origin string
	// Token is the credential of an "Authorization: Bearer" header, unchecked,
	// empty when there was none. Never log it.
	Token string
	// Deflate says that permessage-deflate was negotiated, without context
	// takeover in either direction. Never with Config.Deflate off.
	Deflate bool
	// RemoteAddr is the address of the peer, which may be a proxy; invalid when
	// the connection is not TCP.
	RemoteAddr netip.Addr
	// Value is for Config.Check to set; the receiver of the Conn finds it here.
	Value any
}

// Conn is an upgraded connection: the response has been sent, frames follow.
type Conn struct {
	// Conn is the *net.TCPConn or *tls.Conn as accepted, without deadlines and
	// with nothing read ahead but Early. Reading from it skips Early.
	net.Conn
	// Early holds the bytes that arrived together with the handshake and come
	// before everything Conn still has to read. Owned by the receiver.
	Early []byte
	// Request is the handshake. Owned by the receiver.
	Request *Request
}

// Refusal is the answer to a handshake that is not admitted. Its texts are
// constants of the program: nothing the client sent belongs in them.
type Refusal struct {
	// Status is the HTTP status; 0 means 403.
	Status int
	// Reason labels the refusal in metrics and logs: one of a bounded set.
	Reason string
	// Message is the response's body, one line for the person who debugs the
	// client.
	Message string
	// RetryAfter, if not 0, is sent as Retry-After in whole seconds, rounded up.
	RetryAfter time.Duration

	silent bool // close without an answer
}

// The reasons for which a connection ends without being delivered. A Check adds
// its own.
const (
	ReasonMalformed      = "malformed"        // no acceptable HTTP/1 request
	ReasonHeadTooLarge   = "head_too_large"   // more than MaxHeadBytes
	ReasonTooManyHeaders = "too_many_headers" // more than MaxHeaders
	ReasonTimeout        = "timeout"          // not finished within Timeout
	ReasonDisconnect     = "disconnect"       // the client left before the end
	ReasonTLS            = "tls"              // the TLS handshake was not completed
	ReasonMethod         = "method"           // a handshake that is no GET
	ReasonHandshake      = "handshake"        // a header of the handshake is missing, twice there, or wrong
	ReasonVersion        = "version"          // a WebSocket version other than 13
	ReasonSubprotocol    = "subprotocol"      // our subprotocol was not offered
	ReasonOrigin         = "origin"           // a page of another origin
	ReasonToken          = "token"            // an Authorization: Bearer without a token
	ReasonNotUpgrade     = "not_upgrade"      // a plain request to the WebSocket endpoint's handler
	ReasonNoHTTP         = "no_http"          // a plain request, and no HTTP server took it
	ReasonShutdown       = "shutdown"         // the server is stopping
)

func refuse(status int, reason, message string) *Refusal {
	return &Refusal{Status: status, Reason: reason, Message: message}
}

// The refusals of this package. Shared and never changed.
var (
	refuseNotHTTP      = refuse(http.StatusBadRequest, ReasonMalformed, "this is not an HTTP/1.1 request")
	refuseTLSExpected  = refuse(http.StatusBadRequest, ReasonTLS, "this port speaks TLS: use https or wss")
	refuseRequestLine  = refuse(http.StatusBadRequest, ReasonMalformed, "malformed request line")
	refuseHTTPVersion  = refuse(http.StatusBadRequest, ReasonMalformed, "only HTTP/1.1 and HTTP/1.0 are spoken here")
	refuseBareLF       = refuse(http.StatusBadRequest, ReasonMalformed, "a line of the request head does not end in CR LF")
	refuseHeader       = refuse(http.StatusBadRequest, ReasonMalformed, "malformed header line")
	refuseTimeout      = refuse(http.StatusRequestTimeout, ReasonTimeout, "the request did not arrive in time")
	refuseMethod       = refuse(http.StatusMethodNotAllowed, ReasonMethod, "a WebSocket handshake is a GET request")
	refuseHTTP10       = refuse(http.StatusBadRequest, ReasonHandshake, "a WebSocket handshake needs HTTP/1.1")
	refuseTarget       = refuse(http.StatusBadRequest, ReasonHandshake, "the request target is not a plain path")
	refuseBody         = refuse(http.StatusBadRequest, ReasonHandshake, "a WebSocket handshake has no body: no Content-Length, no Transfer-Encoding")
	refuseDuplicate    = refuse(http.StatusBadRequest, ReasonHandshake, "a header of the handshake is there twice")
	refuseHost         = refuse(http.StatusBadRequest, ReasonHandshake, "Host header missing or malformed")
	refuseUpgrade      = refuse(http.StatusBadRequest, ReasonHandshake, `"Upgrade: websocket" is missing: a proxy in between must pass Upgrade and Connection on`)
	refuseConnection   = refuse(http.StatusBadRequest, ReasonHandshake, `"Connection: Upgrade" is missing: a proxy in between must pass Upgrade and Connection on`)
	refuseKey          = refuse(http.StatusBadRequest, ReasonHandshake, "Sec-WebSocket-Key is missing or not 16 bytes in base64")
	refuseNoVersion    = refuse(http.StatusBadRequest, ReasonHandshake, "Sec-WebSocket-Version is missing")
	refuseVersion      = refuse(http.StatusUpgradeRequired, ReasonVersion, "WebSocket version 13 is spoken here")
	refuseProtocolList = refuse(http.StatusBadRequest, ReasonHandshake, "Sec-WebSocket-Protocol is malformed")
	refuseExtensions   = refuse(http.StatusBadRequest, ReasonHandshake, "Sec-WebSocket-Extensions is malformed")
	refuseOrigin       = refuse(http.StatusForbidden, ReasonOrigin, "pages of this origin may not connect")
	refuseToken        = refuse(http.StatusUnauthorized, ReasonToken, "malformed Authorization: Bearer header")
	refuseNotUpgrade   = refuse(http.StatusUpgradeRequired, ReasonNotUpgrade, "this is a WebSocket endpoint")
	refuseNoHTTP       = refuse(http.StatusServiceUnavailable, ReasonNoHTTP, "no HTTP server is running here")
	refuseShutdown     = refuse(http.StatusServiceUnavailable, ReasonShutdown, "the server is stopping")

	// Where an answer would not arrive or was not asked for.
	closeOnDisconnect = &Refusal{Reason: ReasonDisconnect, silent: true}
	closeOnTLS        = &Refusal{Reason: ReasonTLS, silent: true}
	closeOnTimeout    = &Refusal{Reason: ReasonTimeout, silent: true}
	closeOnShutdown   = &Refusal{Reason: ReasonShutdown, silent: true}
)
