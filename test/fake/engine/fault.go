package engine

import (
	"net"
	"net/http"
)

// Kind is what goes wrong with a request.
type Kind string

// The faults. Those in an answer come after Fault.After tokens of it; unless said otherwise the engine stops computing then.
const (
	Refuse      Kind = "refuse"       // the answer is an error, with Status and RetryAfter; nothing is computed
	Reset       Kind = "reset"        // the connection is reset; with After 0 before anything was sent
	Cut         Kind = "cut"          // the connection ends in an orderly way, in the middle of the answer
	Unfinished  Kind = "unfinished"   // the stream ends as HTTP wants it, and without its last messages
	Stall       Kind = "stall"        // nothing more comes; the slot stays taken until the client leaves
	Garbage     Kind = "garbage"      // what follows is no JSON
	StreamError Kind = "stream_error" // the stream ends with an error object; a unary request is answered 500
	NoUsage     Kind = "no_usage"     // the answer is complete and says nothing of tokens
	Die         Kind = "die"          // the server disappears with all its connections, see Server.Kill
)

// Fault makes requests go wrong.
type Fault struct {
	Kind       Kind                `json:"kind"`
	After      int                 `json:"after,omitempty"`       // tokens of the answer
	Status     int                 `json:"status,omitempty"`      // of Refuse; 0: 503
	RetryAfter string              `json:"retry_after,omitempty"` // the header; "": none
	Message    string              `json:"message,omitempty"`     // of an error; "": something suitable
	Times      int                 `json:"times,omitempty"`       // so many requests, then no more; 0: all until Heal
	Every      int                 `json:"every,omitempty"`       // only each so many'th request, beginning with the first; 0: each
	Match      func(*Request) bool `json:"-"`                     // only these; nil: all

	seen int
}

// Fail adds a fault. Of several that concern a request the one that was added first befalls it.
func (e *Engine) Fail(f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = append(e.faults, &f)
}

// Heal takes all faults away. A request that a fault has befallen is not healed by that.
func (e *Engine) Heal() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = nil
}

// fault returns what befalls a request, or nil.
func (e *Engine) fault(r *Request) *Fault {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.faults {
		if f.Match != nil && !f.Match(r) {
			continue
		}
		f.seen++
		every := max(1, f.Every)
		if (f.seen-1)%every != 0 || f.Times > 0 && (f.seen-1)/every >= f.Times {
			continue
		}
		befell := *f
		return &befell
	}
	return nil
}

// refusal is an answer instead of an answer.
type refusal struct {
	status     int
	retryAfter string
	message    string
}

// strikes reports whether the fault ends the answer.
func (f *Fault) strikes() bool { return f.Kind != "" && f.Kind != Stall && f.Kind != NoUsage }

func (f *Fault) text() string {
	if f.Message != "" {
		return f.Message
	}
	return "the engine failed"
}

func (f *Fault) refusal() *refusal {
	r := &refusal{status: f.Status, retryAfter: f.RetryAfter, message: f.Message}
	if r.status == 0 {
		r.status = http.StatusServiceUnavailable
	}
	if r.message == "" {
		r.message = http.StatusText(r.status)
	}
	return r
}

func (r *refusal) header(h http.Header) {
	if r.retryAfter != "" {
		h.Set("Retry-After", r.retryAfter)
	}
}

// breaks does to the connection what the fault says and reports whether it did anything.
func (e *Engine) breaks(w http.ResponseWriter, kind Kind) bool {
	switch kind {
	case Reset:
		hangUp(w, true)
	case Cut:
		hangUp(w, false)
	case Die:
		e.mu.Lock()
		die := e.die
		e.mu.Unlock()
		if die == nil {
			hangUp(w, true)
			return true
		}
		die()
	default:
		return false
	}
	return true
}

// hangUp closes the connection below an answer.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or a recorder: the server resets the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // what is not reset is closed
	}
	_ = conn.Close()
}
