package demo

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxBody is the largest request body in bytes.
const maxBody = 1 << 20

// Media types of Streamable HTTP.
const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
)

// exchange is one HTTP request and its answer.
type exchange struct {
	w   http.ResponseWriter
	r   *http.Request
	era rpc.Era
	id  rpc.ID // of the request being answered; zero until it is read
}

// admit makes the checks that are alike in both eras and reads the message. When something is wrong it answers and returns false.
func (x *exchange) admit(verbs ...string) (*rpc.Message, bool) {
	// No web page has business here: whatever sends an Origin may be one that reached us by DNS rebinding (Streamable HTTP, Security).
	if x.r.Header.Get("Origin") != "" {
		return nil, x.fail(rpc.Errorf(rpc.OriginRefused, "web pages are not served"))
	}
	if !slices.Contains(verbs, x.r.Method) {
		x.w.Header().Set("Allow", strings.Join(verbs, ", "))
		return nil, x.fail(rpc.Errorf(rpc.WrongVerb, "%s is not served here", x.r.Method))
	}
	if x.r.Method != http.MethodPost {
		return nil, true
	}
	if kind, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || kind != typeJSON {
		return nil, x.fail(rpc.Errorf(rpc.UnsupportedMedia, "Content-Type must be %s", typeJSON))
	}
	if !x.accepts(typeJSON) || !x.accepts(typeEvents) {
		return nil, x.fail(rpc.Errorf(rpc.NotAcceptable, "Accept must list %s and %s", typeJSON, typeEvents))
	}
	body, err := io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBody))
	if err != nil {
		return nil, x.fail(rpc.Errorf(rpc.TooLarge, "the body cannot be read: %w", err))
	}
	m, err := rpc.Parse(body, rpc.Limits{})
	if m != nil {
		x.id = m.ID
	}
	if err != nil {
		return nil, x.fail(rpc.AsError(err))
	}
	return m, true
}

// accepts reports whether Accept names the media type itself, as the protocol asks clients to.
func (x *exchange) accepts(kind string) bool {
	return slices.ContainsFunc(x.r.Header.Values("Accept"), func(v string) bool { return strings.Contains(v, kind) })
}

// accepted answers a message that gets no response.
func (x *exchange) accepted() { x.w.WriteHeader(http.StatusAccepted) }

// respond answers with a result.
func (x *exchange) respond(result any) {
	x.write(http.StatusOK, x.result(result))
}

// result makes the response that carries a result.
func (x *exchange) result(result any) *rpc.Message {
	text, err := json.Marshal(result)
	if err != nil {
		return rpc.NewError(x.id, mcp.Failure(rpc.Errorf(rpc.Internal, "the result cannot be written")))
	}
	return rpc.NewResult(x.id, text)
}

// fail answers with an error. It returns false, for those who have to say that they cannot go on.
func (x *exchange) fail(e *rpc.Error) bool {
	return x.failWith(mcp.Status(e, x.era), e)
}

func (x *exchange) failWith(status int, e *rpc.Error) bool {
	x.write(status, rpc.NewError(x.id, mcp.Failure(e)))
	return false
}

func (x *exchange) write(status int, m *rpc.Message) {
	x.w.Header().Set("Content-Type", typeJSON)
	x.w.WriteHeader(status)
	_, _ = x.w.Write(m.AppendTo(nil)) // a client that left needs no answer
}
