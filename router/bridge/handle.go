package bridge

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

const (
	// statePurpose binds the seals of this package.
	statePurpose = "request state"
	// statePrefix begins each state that the gateway made.
	statePrefix = "gw1."
	// stateLife is how long a client may take with a state that carries a server's.
	stateLife = time.Hour
)

// What a requestState of ours stands for.
const (
	parkedCall  = "parked" // a call that waits here for answers
	serverState = "server" // the state of a modern server
	callAgain   = "again"  // a call that ended and is to be made once more
)

// handle is what a requestState says once its seal is opened. It is good for one
// principal, and for the call it was issued for.
type handle struct {
	Kind     string          `json:"kind"`
	Digest   []byte          `json:"digest"` // of the call
	Expires  time.Time       `json:"expires"`
	Upstream string          `json:"upstream,omitempty"` // who serves the call
	Call     string          `json:"call,omitempty"`     // of a parked call: which one
	Round    int             `json:"round,omitempty"`    // and which of its rounds is answered
	State    json.RawMessage `json:"state,omitempty"`    // of a server: what it sent, a JSON string
	Trace    string          `json:"trace,omitempty"`    // the traceparent of the call that it was given to; empty where nobody traces
}

// seal writes a handle of a call as the text of a JSON string.
func (b *Bridge) seal(c *rpc.Call, h handle) json.RawMessage {
	h.Digest, h.Upstream = digestOf(c), c.Target.Upstream
	if c.Record != nil {
		h.Trace = c.Record.Trace.String()
	}
	plain, err := json.Marshal(h)
	if err != nil {
		return json.RawMessage(`""`) // it opens nowhere
	}
	return rpc.AppendString(nil, statePrefix+b.keys.Seal(statePurpose, c.Principal.AppendIdentity(nil), plain))
}

// open reads the requestState of a call, which anybody may have written. It returns
// false if there is none.
func (b *Bridge) open(c *rpc.Call) (h handle, ok bool, err error) {
	if _, sent := c.Message.Get(requestState); !sent {
		return h, false, nil
	}
	if h, ok = b.unseal(c); !ok || string(h.Digest) != string(digestOf(c)) {
		return h, false, rpc.Errorf(rpc.InvalidParams, "params.requestState is not one that was issued for this call")
	}
	if h.Kind != parkedCall && time.Now().After(h.Expires) {
		return h, false, rpc.Errorf(rpc.InvalidParams, "params.requestState has expired; call again without it")
	}
	return h, true, nil
}

// unseal reads a handle that was issued to the caller, for whichever call.
func (b *Bridge) unseal(c *rpc.Call) (h handle, ok bool) {
	text, _ := c.Message.Text(requestState)
	if len(text) < len(statePrefix) || text[:len(statePrefix)] != statePrefix {
		return h, false
	}
	plain, err := b.keys.Open(statePurpose, c.Principal.AppendIdentity(nil), text[len(statePrefix):])
	return h, err == nil && json.Unmarshal(plain, &h) == nil
}

// Holds returns the upstream that a call has to go to because it goes on with one that this serves; empty if it goes on with none. Whether
// it really does is found out there.
func (b *Bridge) Holds(c *rpc.Call) string {
	if _, sent := c.Message.Get(requestState); !sent || c.Client.Era != rpc.Modern || !interactive(c) {
		return ""
	}
	h, _ := b.unseal(c)
	return h.Upstream
}

// follow notes that a call goes on with another one.
func follow(c *rpc.Call, h handle) {
	c.Record.Note(rpc.Resumed, h.Kind, 0)
	if id, span, sampled, ok := rpc.ParseTraceParent(h.Trace); ok {
		c.Record.Link(rpc.TraceLink{ID: id, Span: span, Sampled: sampled, Kind: "earlier round"})
	}
}

// Continues reports whether a call goes on with one that is parked, or was: for such a
// call nothing is begun.
func (b *Bridge) Continues(c *rpc.Call) bool {
	if _, sent := c.Message.Get(requestState); !sent || c.Client.Era != rpc.Modern || !interactive(c) {
		return false
	}
	h, _, err := b.open(c)
	return err == nil && h.Kind == parkedCall
}

func stateEnd() time.Time { return time.Now().Add(stateLife) }

// digestOf tells calls apart that may be continued by one another: same method, target
// and arguments, however they are spelled.
func digestOf(c *rpc.Call) []byte {
	var text []byte
	arguments, _ := c.Message.Get("arguments")
	if arguments != nil {
		arguments = json.RawMessage(mcp.Canonical(arguments))
	}
	for _, part := range []string{c.Method.Name, c.Target.Upstream, c.Target.Own, string(arguments)} {
		text = binary.AppendUvarint(text, uint64(len(part)))
		text = append(text, part...)
	}
	sum := sha256.Sum256(text)
	return sum[:16]
}
