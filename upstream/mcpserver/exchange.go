package mcpserver

import (
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// exchange is one call on one link: the message that goes upstream, and what has to
// be put back into those that return.
type exchange struct {
	call     *rpc.Call
	try      *rpc.Try                      // what is noted of it; nil where nothing is
	parent   []byte                        // the traceparent that is sent; empty where nobody traces
	room     [rpc.TraceParentSize + 2]byte // for it, and quotes
	hop      *hop
	message  *rpc.Message    // the client's, shaped for the hop
	id       uint64          // the gateway's own, unique on the link
	token    json.RawMessage // the client's progress token; nil if it sent none
	own      bool            // the gateway's own message, which has limits of its own and is not cancelled
	standing bool            // lasts until it is closed: it has no limits, but is cancelled
	patient  bool            // the upstream may be silent for as long as it likes
	progress uint64          // another exchange whose progress is this one's too; 0 for none
	final    bool            // the call was made before on a link that had ended: its answer stands, whatever it is

	// Used by the goroutine that pulls the reply.
	finished bool    // the response has been seen
	reached  float64 // the last progress

	mu       sync.Mutex
	watch    stopwatch
	asked    []rpc.ID  // of questions that wait for the client's answer
	answered time.Time // when the last of them was answered
}

// newExchange prepares a client's call for a hop.
func newExchange(c *rpc.Call, h *hop) *exchange {
	return &exchange{call: c, hop: h, message: shape(c, h), watch: stopwatch{began: time.Now()}}
}

// ownExchange prepares a message that the gateway itself composed.
func ownExchange(m *rpc.Message, h *hop) *exchange {
	c := &rpc.Call{Message: m, Method: mcp.Foreign(m.Method), Dialect: rpc.MCP}
	return &exchange{call: c, hop: h, message: m.Fork(), own: true}
}

// mayBeAsked reports whether a question can belong to the call: servers ask on behalf of what is done for a client (MCP
// 2025-11-25, Streamable HTTP), and the lists on a client's link are the gateway's.
func (x *exchange) mayBeAsked() bool { return !x.own && x.call.Method.Dest != rpc.Every }

// number gives a request its id and, if the client wants progress, a token. Both are
// the same short integer: some servers round large numbers, and all of them keep
// ids apart on one connection (MCP 2025-11-25, Basic, Requests).
func (x *exchange) number(id uint64) {
	x.id = id
	x.message.SetID(rpc.NumberID(id))
	if token, ok := x.call.Message.Meta(mcp.MetaProgress); ok && mcp.IsProgressToken(token) {
		x.token = token
		x.message.SetMeta(mcp.MetaProgress, strconv.AppendUint(nil, id, 10))
	}
}

// verdict says what becomes of a message that came from upstream.
type verdict uint8

const (
	discard  verdict = iota // nobody's: unknown, late, or not allowed here
	relay                   // the client's
	announce                // belongs to no call
	pong                    // a ping, which the gateway answers itself
	deny                    // a question that the client cannot be asked
)

// take decides what becomes of a message that came on the exchange's own stream, and
// puts the client's bytes back into one that is relayed.
func (x *exchange) take(m *rpc.Message) verdict {
	v := x.judge(m)
	if v == relay {
		x.try.Saw(m)
	}
	return v
}

func (x *exchange) judge(m *rpc.Message) verdict {
	switch {
	case x.finished:
		return discard
	case m.IsResponse():
		return x.takeResponse(m)
	case m.IsRequest():
		return x.takeQuestion(m)
	case m.Method == mcp.Progress:
		return x.takeProgress(m)
	case m.Method == mcp.LogMessage:
		return x.takeLog(m)
	case m.Method == mcp.Cancelled:
		return x.takeCancelled(m)
	}
	v := judgeNotification(m)
	if _, subscribed := m.Meta(mcp.MetaSubscription); v == relay && !x.standing && (subscribed || m.Method == mcp.Acknowledged) {
		return discard // a call is no subscription
	}
	return v
}

// takeResponse accepts the response to this call. One without an id can only be an
// error that answers what came before on this stream.
func (x *exchange) takeResponse(m *rpc.Message) verdict {
	if id, ok := ours(m.ID); !m.ID.IsZero() && (!ok || id != x.id) {
		return discard
	}
	x.finished = true
	m.SetID(x.call.Message.ID)
	m.ID = x.call.Message.ID // whoever composes another message of this one answers the client
	return relay
}

func (x *exchange) takeQuestion(m *rpc.Message) verdict {
	v := x.hop.judgeQuestion(m)
	if v == relay {
		x.expect(m)
	}
	return v
}

// expect opens a question that is relayed.
func (x *exchange) expect(q *rpc.Message) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asked = append(x.asked, q.ID)
	x.watch.pause()
}

func (x *exchange) takeProgress(m *rpc.Message) verdict {
	if of := progressOf(m); x.token == nil || of == 0 || of != x.id && of != x.progress || !x.advances(m) {
		return discard
	}
	m.Set(mcp.MetaProgress, x.token)
	return relay
}

// advances reports whether a progress notification does not go back behind the last one: progress must
// increase (MCP 2025-11-25, Progress, Behavior Requirements), and clients may rely on it. Some servers repeat a
// number with another text, which is harmless.
func (x *exchange) advances(m *rpc.Message) bool {
	text, _ := m.Get("progress")
	reached, err := strconv.ParseFloat(string(text), 64)
	if err != nil || reached < x.reached {
		return err != nil // what is no number is the client's to judge
	}
	x.reached = reached
	return true
}

// judgeNotification says whom a notification concerns that is no progress and cancels nothing.
func judgeNotification(m *rpc.Message) verdict {
	switch m.Method {
	case mcp.ToolsChanged, mcp.PromptsChanged, mcp.ResourcesChanged, mcp.ResourceUpdated, mcp.TaskChanged:
		return announce
	case mcp.Cancelled, mcp.Progress, mcp.TaskStatus:
		return discard
	}
	return relay
}

// close reports whether m answers a question that was relayed and is still open, and
// closes the question.
func (x *exchange) close(m *rpc.Message) bool { return x.settle(m.ID) }

// settle closes a question and reports whether it was open.
func (x *exchange) settle(id rpc.ID) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := x.asks(id)
	if i < 0 {
		return false
	}
	if x.asked = slices.Delete(x.asked, i, i+1); len(x.asked) == 0 {
		x.watch.resume()
	}
	x.answered = time.Now()
	return true
}

// asks returns where a question stands among the open ones, or -1. The lock is held.
func (x *exchange) asks(id rpc.ID) int {
	return slices.IndexFunc(x.asked, func(open rpc.ID) bool { return open.Key() == id.Key() })
}

// unanswered closes the questions that are open, and returns them.
func (x *exchange) unanswered() []rpc.ID {
	x.mu.Lock()
	defer x.mu.Unlock()
	open := x.asked
	x.asked = nil
	x.watch.resume()
	return open
}

// ours reads one of our ids as the upstream wrote it. Some servers answer the number
// 7 with the string "7", others with 7.0.
func ours(id rpc.ID) (uint64, bool) {
	text := id.Loose()
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n, true
	}
	const exact = 1 << 53
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 || f >= exact || f != float64(uint64(f)) {
		return 0, false
	}
	return uint64(f), true
}

// progressOf returns the call that a progress notification is about; 0 if it is none
// of ours.
func progressOf(m *rpc.Message) uint64 {
	token, ok := m.Get(mcp.MetaProgress)
	if !ok {
		return 0
	}
	id, err := rpc.ParseID(token)
	if err != nil {
		return 0
	}
	n, _ := ours(id)
	return n
}
