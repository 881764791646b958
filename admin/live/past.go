package live

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Ended is a call that has ended.
type Ended struct {
	ID        string    `json:"id"`
	Method    string    `json:"method"`
	Received  time.Time `json:"received"`
	Endpoint  string    `json:"endpoint"`
	Target    string    `json:"target,omitempty"`
	Upstream  string    `json:"upstream,omitempty"`
	Backend   string    `json:"backend,omitempty"`
	Outcome   string    `json:"outcome"` // ok, tool_error, error (the server's own), or why the gateway gave no response
	Cached    bool      `json:"cached,omitempty"`
	Attempts  int       `json:"attempts"`
	Principal Principal `json:"principal"`
	Session   string    `json:"session,omitempty"`
	Request   string    `json:"requestId,omitempty"`
	Remote    string    `json:"remote,omitempty"`
	Trace     string    `json:"traceId,omitempty"`
	Usage     *Usage    `json:"usage,omitempty"` // of a model
	Timing    Timing    `json:"timing"`
}

// Timing is where the time of a call went, in milliseconds.
type Timing struct {
	Policy   float64 `json:"policyMs"`   // until somebody was asked, without the queues: who calls, may he, how much
	Queue    float64 `json:"queueMs"`    // in queues of upstreams
	First    float64 `json:"firstMs"`    // from asking for the last time until the first message came
	Upstream float64 `json:"upstreamMs"` // from asking for the first time until there was a response
	Relay    float64 `json:"relayMs"`    // from then until the client had it
	Total    float64 `json:"totalMs"`
}

// pastSize is how many calls that ended a shard remembers.
const pastSize = 16

// past is the calls of a shard that ended last.
type past struct {
	calls [pastSize]ended
	count int // since the process began
}

// ended is a call that ended, without anything that lies in the memory of a message, and
// without what would keep that from being used again.
type ended struct {
	id        uint64
	received  time.Time
	method    text
	target    text
	request   text
	endpoint  string
	upstream  string
	backend   string
	principal rpc.Principal
	session   string
	remote    netip.AddrPort
	trace     rpc.TraceID
	outcome   string
	cached    bool
	attempts  int
	timing    spans
	used      rpc.Usage
}

// spans are the times of a call, as [Timing] shows them.
type spans struct{ policy, queue, first, upstream, relay, total time.Duration }

// text is a short copy of a text from outside.
type text struct {
	size int
	data [96]byte
}

func (t *text) set(s string) { t.size = copy(t.data[:], s) }

func (t *text) String() string { return strings.ToValidUTF8(string(t.data[:t.size]), "\ufffd") }

// keep remembers a call that has ended instead of the one that ended longest ago.
func (p *past) keep(c *rpc.Call, id uint64) {
	e := &p.calls[p.count%pastSize]
	p.count++
	e.id, e.received, e.endpoint, e.upstream = id, c.Received, c.Endpoint, c.Target.Upstream
	e.method.set(c.Method.Name)
	e.target.set(c.Target.Canonical)
	e.request.set(requestOf(c))
	e.principal = rpc.Principal{Org: c.Principal.Org, Team: c.Principal.Team, Key: c.Principal.Key, User: c.Principal.User}
	e.session, e.remote, e.trace = c.Client.Session, c.Remote, c.Record.Trace.ID
	e.outcome, e.cached = c.Record.Outcome().String(), c.Record.Cached()
	e.timing, e.attempts, e.backend = timingOf(c.Record)
	e.used = rpc.Usage{}
	if c.Dialect == rpc.Infer {
		e.used = c.Record.Usage()
	}
}

// timingOf says where the time of a call went.
func timingOf(r *rpc.Record) (t spans, attempts int, backend string) {
	answered, total := r.Times()
	t.total, t.policy = total, cmp.Or(answered, total)
	var began, done time.Duration
	for try := r.First(); try != nil; try = try.Next() {
		a := try.Attempt()
		if attempts++; attempts == 1 {
			began = a.Began
			t.policy = max(began-a.Queued, 0)
		}
		t.queue += a.Queued
		backend, done, t.first = a.Backend, cmp.Or(a.Ended, total), 0
		if a.First != 0 {
			t.first = a.First - a.Began
		}
	}
	if attempts > 0 {
		t.upstream = done - began
	} else {
		done = t.policy
	}
	t.relay = max(total-done, 0)
	return t, attempts, backend
}

func (e *ended) show() Ended {
	out := Ended{
		ID: FormatID(e.id), Method: e.method.String(), Received: e.received.UTC(), Endpoint: e.endpoint, Target: e.target.String(),
		Upstream: e.upstream, Backend: e.backend, Outcome: e.outcome, Cached: e.cached, Attempts: e.attempts, Principal: PrincipalOf(e.principal),
		Session: ShortSession(e.session), Request: e.request.String(), Remote: remoteOf(e.remote),
		Timing: Timing{
			Policy: millis(e.timing.policy), Queue: millis(e.timing.queue), First: millis(e.timing.first),
			Upstream: millis(e.timing.upstream), Relay: millis(e.timing.relay), Total: millis(e.timing.total),
		},
	}
	out.Usage = usageOf(e.used)
	if e.trace != (rpc.TraceID{}) {
		out.Trace = e.trace.String()
	}
	return out
}

// Late returns calls that ended, those that came last first. Of each shard few are
// remembered: about the last thousand in all.
func (r *Registry) Late() []Ended {
	var kept []ended
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		kept = append(kept, s.past.calls[:min(s.past.count, pastSize)]...)
		s.mu.Unlock()
	}
	out := make([]Ended, 0, len(kept))
	for i := range kept {
		out = append(out, kept[i].show())
	}
	slices.SortFunc(out, func(a, b Ended) int { return cmp.Or(b.Received.Compare(a.Received), cmp.Compare(a.ID, b.ID)) })
	return out
}
