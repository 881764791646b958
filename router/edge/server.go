package edge

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Bounds of connections (RFC 9112 leaves them to the server; Go's are unlimited).
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 120 * time.Second
	maxHeader     = 32 << 10
	maxStreams    = 250 // of one HTTP/2 connection
	pingAfter     = 60 * time.Second
	pingTimeout   = 15 * time.Second
	stallTimeout  = 30 * time.Second
)

// Server returns an http.Server that does not wait for slow clients and refuses
// requests that [Listener] found ambiguous. Reading a body and writing an answer have
// no limit here, because streams last: handlers set deadlines themselves, and those
// they leave behind are lifted when the connection's next request begins.
func Server(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           strict{handler},
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams,
			SendPingTimeout:      pingAfter,
			PingTimeout:          pingTimeout,
			WriteByteTimeout:     stallTimeout,
		},
		ErrorLog: serverLog(log),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if watched, ok := c.(*watchedConn); ok {
				return context.WithValue(ctx, connKey{}, watched)
			}
			return ctx
		},
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateActive {
				_ = c.SetWriteDeadline(time.Time{}) // fails only on a connection that is closed
			}
		},
	}
}

type connKey struct{}

// strict refuses requests that somebody else may have understood differently, and
// closes their connection.
type strict struct{ next http.Handler }

func (s strict) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A target with an authority of its own overrules Host (RFC 9112 §3.2.2), by which a
	// proxy in front may have decided. Only requests to forward proxies have one.
	if r.URL.Host != "" {
		refuseRequest(w, rpc.Errorf(rpc.InvalidRequest, "ambiguous request: the target names a host"))
		return
	}
	if c, ok := r.Context().Value(connKey{}).(*watchedConn); ok {
		if what := c.ambiguity(r.ProtoAtLeast(1, 1)); what != "" {
			refuseRequest(w, rpc.Errorf(rpc.InvalidRequest, "ambiguous request: %s", what))
			return
		}
	}
	s.next.ServeHTTP(w, r)
}

// refuseRequest answers before any part of the gateway has looked at a request.
func refuseRequest(w http.ResponseWriter, e *rpc.Error) {
	h := w.Header()
	h.Set("Connection", "close")
	h.Set("Content-Type", jsonType)
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(rpc.NewError(rpc.ID{}, mcp.Failure(e)).AppendTo(nil)) // nobody to tell
}

// serverLog brings net/http's own messages into the log. Failed handshakes are what
// port scanners cause, everything else is worth a look.
func serverLog(to *slog.Logger) *log.Logger { return log.New(serverLogger{to}, "", 0) }

type serverLogger struct{ to *slog.Logger }

func (l serverLogger) Write(p []byte) (int, error) {
	say := l.to.Warn
	if bytes.HasPrefix(p, []byte("http: TLS handshake error")) {
		say = l.to.Debug
	}
	say("http server", "message", string(bytes.TrimSpace(p)))
	return len(p), nil
}
