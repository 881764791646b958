package live

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Call is a call in flight, or a stream that stands open, at one moment.
type Call struct {
	ID        string    `json:"id"` // random; good for ending it
	Method    string    `json:"method"`
	Phase     string    `json:"phase"` // deciding, queued, upstream, answering, asking, relaying or parked; of a stream, open
	Received  time.Time `json:"received"`
	Age       float64   `json:"ageMs"`
	Endpoint  string    `json:"endpoint"`
	Target    string    `json:"target,omitempty"`   // by its canonical name
	Upstream  string    `json:"upstream,omitempty"` // who serves it
	Backend   string    `json:"backend,omitempty"`  // which of its replicas was asked last
	Waits     string    `json:"waitsFor,omitempty"` // the queue that it waits in, or what its client is asked
	Attempts  int       `json:"attempts"`
	Principal Principal `json:"principal"`
	Session   string    `json:"session,omitempty"` // short form; of a legacy client
	Request   string    `json:"requestId,omitempty"`
	Revision  string    `json:"revision,omitempty"` // what its client speaks
	Remote    string    `json:"remote,omitempty"`
	Trace     string    `json:"traceId,omitempty"`
	Usage     *Usage    `json:"usage,omitempty"` // of a model
	Stoppable bool      `json:"stoppable"`
}

// Principal is who calls. Nothing of it is secret.
type Principal struct {
	Org  string `json:"org,omitempty"`
	Team string `json:"team,omitempty"`
	Key  string `json:"key,omitempty"`
	User string `json:"user,omitempty"`
}

// PrincipalOf returns what operators are shown of a principal.
func PrincipalOf(p rpc.Principal) Principal {
	return Principal{Org: Clip(p.Org), Team: Clip(p.Team), Key: Clip(p.Key), User: Clip(p.User)}
}

// maxText bounds what is shown of a text from outside, in bytes.
const maxText = 128

// Clip bounds text from outside and copies it, since it may lie in the memory of a message.
func Clip(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.Clone(strings.ToValidUTF8(s, "\ufffd"))
}

// ShortSession is how operators are shown a session: enough of its key to tell it from
// others.
func ShortSession(key string) string { return key[:min(len(key), 16)] }

// FormatID returns the text of an id.
func FormatID(id uint64) string { return fmt.Sprintf("%016x", id) }

// ParseID reads the text of an id.
func ParseID(text string) (uint64, bool) {
	id, err := strconv.ParseUint(text, 16, 64)
	return id, err == nil && len(text) == 16
}

// Flying returns the calls in flight or the streams that stand open, the oldest first.
func (r *Registry) Flying(kind Kind) []Call {
	var out []Call
	now := time.Now()
	for i := range r.shards {
		out = r.shards[i].flyers(r.kind, kind, now, out)
	}
	slices.SortFunc(out, func(a, b Call) int { return cmp.Or(a.Received.Compare(b.Received), cmp.Compare(a.ID, b.ID)) })
	return out
}

func (s *shard) flyers(kindOf func(*rpc.Call) Kind, kind Kind, now time.Time, out []Call) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := s.flying.Next; p != &s.flying; p = p.Next {
		if kindOf(p.Call) == kind {
			out = append(out, show(p, kind, now))
		}
	}
	return out
}

// show describes a call that is in the list. The lock is held, so that its memory is its
// own.
func show(p *rpc.Place, kind Kind, now time.Time) Call {
	c := p.Call
	out := Call{
		ID: FormatID(p.ID), Method: Clip(c.Method.Name), Received: c.Received.UTC(), Age: millis(now.Sub(c.Received)),
		Endpoint: c.Endpoint, Request: Clip(requestOf(c)), Stoppable: c.Stopper != nil,
	}
	if trace := c.Record.Trace.ID; trace != (rpc.TraceID{}) {
		out.Trace = trace.String()
	}
	progress := c.Record.Progress()
	out.Phase, out.Waits = phaseOf(&progress)
	if kind == Stream {
		out.Phase = "open"
	}
	out.Attempts = len(progress.Attempts)
	if out.Attempts > 0 {
		out.Backend = progress.Attempts[out.Attempts-1].Backend
		out.Usage = usageOf(c.Record.Usage())
	}
	if !p.Settled.Load() {
		return out
	}
	out.Target, out.Upstream, out.Principal = Clip(c.Target.Canonical), c.Target.Upstream, PrincipalOf(c.Principal)
	out.Session, out.Revision, out.Remote = ShortSession(c.Client.Session), string(c.Client.Revision), remoteOf(c.Remote)
	return out
}

// ParkedCall describes a call that is in no list, because it waits for its client to come
// back. It must not change any more.
func ParkedCall(id uint64, c *rpc.Call, asks string) Call {
	return Call{
		ID: FormatID(id), Method: Clip(c.Method.Name), Phase: "parked", Received: c.Received.UTC(), Age: millis(time.Since(c.Received)),
		Endpoint: c.Endpoint, Target: Clip(c.Target.Canonical), Upstream: c.Target.Upstream, Waits: asks, Attempts: 1,
		Principal: PrincipalOf(c.Principal), Request: Clip(c.Message.ID.String()), Revision: string(c.Client.Revision), Remote: remoteOf(c.Remote), Stoppable: true,
	}
}

// remoteOf is where a call comes from; empty for a pipe.
func remoteOf(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// phaseOf says how far a call has come, and what it waits for if that has a name.
func phaseOf(p *rpc.Progress) (phase, waits string) {
	if p.Answered != 0 {
		return "relaying", ""
	}
	for _, e := range slices.Backward(p.Events) {
		switch e.Kind {
		case rpc.Asked, rpc.Parked:
			return "asking", e.Name
		case rpc.Replied, rpc.Resumed:
		default:
			continue
		}
		break
	}
	switch n := len(p.Attempts); {
	case p.Waiting != "":
		return "queued", p.Waiting
	case n == 0:
		return "deciding", ""
	case p.Attempts[n-1].First == 0:
		return "upstream", ""
	}
	return "answering", ""
}

// millis is a duration in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
