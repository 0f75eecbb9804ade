package upgrade

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	// A refused client may still be sending. Closing right away would reset
	// the connection and could take the answer from it, so what it sends is
	// read and dropped for as long or as much as this.
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10

	// maxLogged is how many bytes of what a client sent go into a log value.
	maxLogged = 128
)

// end refuses a connection, closes it, and accounts for it. h is what is known
// of its request, nil when nothing is.
func (a *Acceptor) end(ctx context.Context, conn net.Conn, refusal *Refusal, h *head) {
	if refusal == closeOnDisconnect && ctx.Err() != nil {
		refusal = closeOnShutdown // it was not the client who closed
	}
	a.account(ctx, refusal, conn.RemoteAddr(), h)
	if !refusal.silent {
		// The time for the handshake may be over, the answer still gets some.
		_ = conn.SetDeadline(time.Now().Add(lingerTime)) // on a dead connection writing fails, too
		if _, err := conn.Write(refusal.appendResponse(nil)); err == nil {
			linger(conn)
		}
	}
	_ = conn.Close() // nobody is left to tell
}

func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, conn, lingerBytes) // ended by the client, the deadline or the count
}

// account logs and counts a refusal.
func (a *Acceptor) account(ctx context.Context, refusal *Refusal, remote net.Addr, h *head) {
	a.logRefusal(ctx, refusal, remote, h)
	if a.cfg.OnRefuse != nil {
		a.cfg.OnRefuse(refusal.Reason)
	}
}

func (a *Acceptor) logRefusal(ctx context.Context, refusal *Refusal, remote net.Addr, h *head) {
	if !a.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	status := 0
	if !refusal.silent {
		status = refusal.status()
	}
	attrs := make([]slog.Attr, 0, 7)
	attrs = append(attrs,
		slog.String("reason", refusal.Reason),
		slog.Int("status", status),
		slog.String("message", refusal.Message),
		slog.String("remote_addr", remote.String()))
	if h != nil {
		attrs = append(attrs,
			slog.String("path", shorten(h.path())), // without the query: people put tokens there
			slog.String("host", shorten(h.values[fieldHost])),
			slog.String("origin", shorten(h.values[fieldOrigin])))
	}
	a.log.LogAttrs(ctx, slog.LevelDebug, "connection refused", attrs...)
}

// shorten makes a log value of what a client sent; the handler escapes it.
func shorten(b []byte) string {
	if len(b) > maxLogged {
		return string(b[:maxLogged]) + "…"
	}
	return string(b)
}

// status is what the refusal is answered with.
func (r *Refusal) status() int {
	if r.Status == 0 {
		return http.StatusForbidden
	}
	return r.Status
}

// header calls set for the response headers that belong to the refusal.
func (r *Refusal) header(set func(name, value string)) {
	set("Content-Type", "text/plain; charset=utf-8")
	switch r.status() {
	case http.StatusUnauthorized:
		set("WWW-Authenticate", "Bearer")
	case http.StatusMethodNotAllowed:
		set("Allow", http.MethodGet)
	case http.StatusUpgradeRequired:
		set("Upgrade", "websocket")
		set("Sec-WebSocket-Version", "13")
		set("Connection", "Upgrade")
	}
	set("Connection", "close")
	if r.RetryAfter > 0 {
		seconds := (r.RetryAfter + time.Second - 1) / time.Second
		set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
}

// appendResponse appends the whole HTTP response.
func (r *Refusal) appendResponse(dst []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.status()), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(r.status())...)
	dst = append(dst, "\r\n"...)
	r.header(func(name, value string) {
		dst = append(dst, name...)
		dst = append(dst, ": "...)
		dst = append(dst, value...)
		dst = append(dst, "\r\n"...)
	})
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(r.Message)+1), 10)
	dst = append(dst, "\r\n\r\n"...)
	dst = append(dst, r.Message...)
	return append(dst, '\n')
}
