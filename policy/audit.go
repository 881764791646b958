package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/telemetry"
)

// AuditEvent is a line of the audit log: one call.
type AuditEvent struct {
	Time      string `json:"time"` // when it came, RFC 3339
	RequestID string `json:"requestId,omitempty"`
	Trace     string `json:"trace,omitempty"` // W3C trace id
	Org       string `json:"org,omitempty"`
	Team      string `json:"team,omitempty"`
	Key       string `json:"key,omitempty"`
	User      string `json:"user,omitempty"`
	Remote    string `json:"remote"`
	Endpoint  string `json:"endpoint"`
	Method    string `json:"method"`
	Target    string `json:"target,omitempty"`    // by its canonical name
	Arguments string `json:"arguments,omitempty"` // their SHA-256
	Upstream  string `json:"upstream,omitempty"`
	Outcome   string `json:"outcome"` // ok, error (the server's own), or the code of the refusal or failure
	Cached    bool   `json:"cached,omitempty"`
	BytesIn   int64  `json:"bytesIn"`
	BytesOut  int64  `json:"bytesOut"`
	Millis    int64  `json:"ms"`
	Policy    string `json:"policy"` // digest of the configuration that decided
	// Previous and Digest chain the lines, if they are chained.
	Previous string `json:"previous,omitempty"`
	Digest   string `json:"digest,omitempty"`
}

// Audit writes an event for each request when its reply ends, and for each that gets
// none. Policy names the configuration that is in force.
func Audit(trail *AuditTrail, policy string) rpc.Middleware {
	return func(next rpc.Handler) rpc.Handler {
		return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
			if !c.Message.IsRequest() {
				return next.Handle(ctx, c)
			}
			if err := trail.Admit(); err != nil {
				out := rpc.Errorf(rpc.StateUnavailable, "calls cannot be audited at the moment, and have to be")
				out.RetryAfter, out.Cause = time.Second, err
				return nil, out
			}
			in := int64(c.Message.Size())
			reply, err := next.Handle(ctx, c)
			if err != nil {
				trail.Write(auditEvent(c, policy, in, 0, failedBy(err)))
				return nil, err
			}
			a := &audited{Reply: reply, trail: trail, call: c, policy: policy, in: in, outcome: rpc.Cancelled.String()}
			out := rpc.NewReply(a)
			out.Header, out.Revision = reply.Header, reply.Revision
			return out, nil
		})
	}
}

// failedBy is the outcome of a call that an error ended.
func failedBy(err error) string {
	code := rpc.AsError(err).Code
	if code == rpc.Internal && errors.Is(err, context.Canceled) {
		code = rpc.Cancelled // whoever gave up says so with the bare error of its context
	}
	return code.String()
}

// auditEvent describes a call. What comes from outside is bounded.
func auditEvent(c *rpc.Call, policy string, in, out int64, outcome string) *AuditEvent {
	p := &c.Principal
	e := &AuditEvent{
		Time: c.Received.UTC().Format(time.RFC3339Nano), RequestID: clip(c.Message.ID.String()), Trace: traceOf(c),
		Org: p.Org, Team: p.Team, Key: p.Key, User: clip(p.User), Remote: c.Remote.String(), Endpoint: c.Endpoint,
		Method: clip(c.Method.Name), Target: named(c.Target.Canonical), Upstream: c.Target.Upstream,
		Outcome: outcome, Cached: c.Record.Cached(), BytesIn: in, BytesOut: out, Millis: time.Since(c.Received).Milliseconds(), Policy: policy,
	}
	if arguments, ok := c.Message.Get("arguments"); ok {
		sum := sha256.Sum256(arguments)
		e.Arguments = hex.EncodeToString(sum[:])
	}
	return e
}

// named returns the name of a target as it may be written down: addresses may hold
// credentials.
func named(target string) string {
	if strings.Contains(target, "://") {
		return telemetry.Clean(target)
	}
	return clip(target)
}

// traceOf returns the trace id of a call: the one that it is traced by, or else the one that it names, if it does (W3C Trace Context, §3.2): in
// its body, else in its header.
func traceOf(c *rpc.Call) string {
	if c.Record != nil && c.Record.Trace.ID != (rpc.TraceID{}) {
		return c.Record.Trace.ID.String()
	}
	parent, ok := c.Message.MetaText("traceparent")
	if !ok {
		parent = c.Header.Get("Traceparent")
	}
	if len(parent) < 55 || parent[2] != '-' || parent[35] != '-' {
		return ""
	}
	if _, err := hex.DecodeString(parent[3:35]); err != nil {
		return ""
	}
	return parent[3:35]
}

// audited is a reply whose end is written to the trail.
type audited struct {
	*rpc.Reply
	trail  *AuditTrail
	call   *rpc.Call
	policy string
	in     int64

	mu      sync.Mutex // a reply may be closed while it is read
	out     int64
	outcome string
	written bool
}

// Next implements [rpc.Source].
func (a *audited) Next() (*rpc.Message, error) {
	m, err := a.Reply.Next()
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil:
		if !rpc.IsEnd(err) {
			a.outcome = failedBy(err)
		}
		return nil, err
	case m.IsResponse() && m.Err != nil:
		a.outcome = "error"
	case m.IsResponse():
		a.outcome = "ok"
	}
	a.out += int64(m.Size())
	if m.IsResponse() {
		a.write()
	}
	return m, err
}

// Close implements [rpc.Source].
func (a *audited) Close() error {
	err := a.Reply.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.write()
	return err
}

// write notes the call, once. The lock is held.
func (a *audited) write() {
	if !a.written {
		a.written = true
		a.trail.Write(auditEvent(a.call, a.policy, a.in, a.out, a.outcome))
	}
}

// line is an event as it is written, without the end of the line.
func (e *AuditEvent) line() ([]byte, error) { return json.Marshal(e) }
