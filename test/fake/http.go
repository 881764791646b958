package fake

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// maxBody is the most bytes of one body that the server reads.
const maxBody = 64 << 20

// buffers are the body of a request, room for its result and room for the whole answer, reused by later requests.
type buffers struct {
	body           bytes.Buffer
	result, answer []byte
}

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

// ServeHTTP implements http.Handler: one Streamable HTTP endpoint, whatever its path. The era is told by the request: by
// its _meta and headers, as a server of both eras must.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		s.post(w, r)
	case http.MethodGet:
		s.openStream(w, r)
	case http.MethodDelete:
		s.endSession(w, r)
	default:
		methodNotAllowed(w)
	}
}

func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	b, _ := bufferPool.Get().(*buffers)
	defer bufferPool.Put(b)
	b.body.Reset()
	if n := r.ContentLength; n > 0 && n <= maxBody {
		b.body.Grow(int(n) + bytes.MinRead)
	}
	if _, err := b.body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		http.Error(w, "cannot read the body", http.StatusBadRequest)
		return
	}
	s.log.http(r, b.body.Bytes())
	if status := checkHeader(r.Header); status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	out := &output{w: w, sse: s.config.SSE, buffers: b}
	m, failure := s.parse(b.body.Bytes())
	switch {
	case failure != nil:
		out.fail(m.id, failure)
	case s.modern(m.revision, r.Header.Get("Mcp-Protocol-Version")):
		s.postModern(out, r, &m)
	default:
		s.postLegacy(out, r, &m)
	}
}

// checkHeader returns the status that refuses a POST for its header fields, or 0.
func checkHeader(header http.Header) int {
	if kind := header.Get("Content-Type"); kind != "application/json" && !strings.HasPrefix(kind, "application/json;") {
		return http.StatusUnsupportedMediaType
	}
	if !accepts(header, "application/json") || !accepts(header, "text/event-stream") {
		return http.StatusNotAcceptable
	}
	return 0
}

// accepts says whether Accept names the media type itself; MCP wants both spelled out, so wildcards do not count.
func accepts(header http.Header, mediaType string) bool {
	for _, value := range header["Accept"] {
		if strings.Contains(value, mediaType) {
			return true
		}
	}
	return false
}

// call answers a request whose era and session are settled.
func (s *Server) call(ctx context.Context, out *output, c *Call) {
	const envelope = 512 // what an answer has around what it echoes
	b := out.buffers
	b.result = slices.Grow(b.result[:0], b.body.Len()+envelope)
	c.Scratch = b.result
	c.notify = out.event
	text, failure := s.answer(ctx, c, slices.Grow(b.answer[:0], b.body.Len()+envelope))
	if text == nil {
		out.abandon()
		return
	}
	b.answer = text
	out.finish(status(c.Era, failure), text)
}

// status returns the HTTP status of an answer. Legacy answers are always 200; modern errors have theirs prescribed.
func status(era Era, failure *Error) int {
	switch {
	case failure == nil:
		return http.StatusOK
	case failure.Status != 0:
		return failure.Status
	case era == Legacy:
		return http.StatusOK
	case failure.Code == codeUnknownMethod:
		return http.StatusNotFound
	case failure.Code == codeInvalidParams, failure.Code <= codeHeaderMismatch && failure.Code >= -32099:
		return http.StatusBadRequest
	default:
		return http.StatusOK
	}
}

func methodNotAllowed(w http.ResponseWriter) {
	w.Header().Set("Allow", "GET, POST, DELETE")
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
}
