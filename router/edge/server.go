package edge

import (
	"bytes"
	"context"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/headgate/headgate/router/edge/http1"
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

// Server returns a server for connections that only we have cut into requests: those in TLS, over which HTTP/2 is spoken
// too, and those of operators. It does not wait for slow clients. Reading a body and writing an answer have no limit here,
// because streams last: handlers set deadlines themselves, and those they leave behind are lifted when the connection's
// next request begins.
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
		ConnState: func(c net.Conn, s http.ConnState) {
			if s == http.StateActive {
				_ = c.SetWriteDeadline(time.Time{}) // fails only on a connection that is closed
			}
		},
	}
}

// Plain returns a server for plain connections, which clients, or proxies in front, may have cut into requests before.
// What could be cut differently it refuses. Requests end with ctx.
func Plain(ctx context.Context, handler http.Handler, log *slog.Logger) *http1.Server {
	return &http1.Server{
		Handler: handler, Refuse: refuseRequest, Base: ctx, Log: log,
		HeadTimeout: headerTimeout, IdleTimeout: idleTimeout, WriteTimeout: stallTimeout, MaxHead: maxHeader,
	}
}

// strict refuses requests whose target has an authority of its own, which overrules Host (RFC 9112 §3.2.2), by which a
// proxy in front may have decided. Only requests to forward proxies have one.
type strict struct{ next http.Handler }

func (s strict) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Host != "" {
		refuseRequest(w, http.StatusBadRequest, "target that names a host")
		return
	}
	s.next.ServeHTTP(w, r)
}

// refuseRequest answers before any part of the gateway has looked at a request.
func refuseRequest(w http.ResponseWriter, status int, why string) {
	e := rpc.Errorf(rpc.InvalidRequest, "request refused: %s", why)
	h := w.Header()
	h.Set("Connection", "close")
	h.Set("Content-Type", jsonType)
	w.WriteHeader(status)
	_, _ = w.Write(rpc.NewError(rpc.ID{}, mcp.Failure(e)).AppendTo(nil)) // nobody to tell
}

// serverLog brings net/http's own messages into the log. Failed handshakes are what
// port scanners cause, everything else is worth a look.
func serverLog(to *slog.Logger) *log.Logger { return log.New(serverLogger{to}, "", 0) } //nolint:forbidigo // what net/http takes

type serverLogger struct{ to *slog.Logger }

func (l serverLogger) Write(p []byte) (int, error) {
	say := l.to.Warn
	if bytes.HasPrefix(p, []byte("http: TLS handshake error")) {
		say = l.to.Debug
	}
	say("http server", "message", string(bytes.TrimSpace(p)))
	return len(p), nil
}
