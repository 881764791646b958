package fake

import (
	"net/http"
	"slices"
	"sync"
)

// maxRecords is how many messages a recording server keeps; later ones are served but not kept.
const maxRecords = 1 << 16

// Received is one HTTP request or one line of stdio as it arrived.
type Received struct {
	// HTTPMethod, Path and Header are those of the HTTP request; empty over stdio.
	HTTPMethod, Path string
	Header           http.Header
	// Body is the exact body or line.
	Body []byte
}

// recorder keeps what was received.
type recorder struct {
	on   bool
	mu   sync.Mutex
	kept []Received
}

// Received returns what has arrived so far, in order of arrival, when Config.Record is set: at most the first 65,536.
func (s *Server) Received() []Received {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return slices.Clone(s.log.kept)
}

// http keeps an HTTP request.
func (l *recorder) http(r *http.Request, body []byte) {
	if l.on {
		l.keep(Received{HTTPMethod: r.Method, Path: r.URL.Path, Header: r.Header.Clone(), Body: slices.Clone(body)})
	}
}

// line keeps a line of stdio.
func (l *recorder) line(line []byte) {
	if l.on {
		l.keep(Received{Body: slices.Clone(line)})
	}
}

func (l *recorder) keep(r Received) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.kept) < maxRecords {
		l.kept = append(l.kept, r)
	}
}
