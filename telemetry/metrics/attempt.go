package metrics

import (
	"net"

	"github.com/headgate/headgate/rpc"
)

// Expect makes the series of an upstream that is not asked again, and where nobody has waited, begin at 0.
func (c *Calls) Expect(upstream string, queued bool) {
	c.retries.series(retryKey{upstream})
	if queued {
		c.waits.series(waitKey{upstream})
	}
}

// attempted records one time that an upstream was asked, now or, if it still runs, when it has ended.
func (c *Calls) attempted(t *rpc.Try, s subject) {
	a := t.Attempt()
	if a.Number > 1 {
		c.retries.add(retryKey{a.Upstream}, 1)
	}
	if a.Queued > 0 {
		c.waits.observe(waitKey{a.Upstream}, a.Queued)
	}
	if a.Ended != 0 || !t.OnEnd(func(a rpc.Attempt) { c.finished(&a, s) }) {
		a = t.Attempt()
		c.finished(&a, s)
	}
}

func (c *Calls) finished(a *rpc.Attempt, s subject) {
	k := clientKey{subject: s, end: c.ending(a.Outcome), upstream: a.Upstream, backend: a.Backend, transport: a.Transport, version: a.Revision}
	if k.version != "" && !c.known.Revision(k.version) {
		k.version = Other
	}
	c.client.observe(k, a.Ended-a.Began)
}

// clientKey tells the series of mcp.client.operation.duration apart.
type clientKey struct {
	subject
	end                          ending
	upstream, backend, transport string
	version                      rpc.Revision
}

func (k clientKey) values() []string {
	carrier, protocol := carriers(k.transport)
	host, port, _ := net.SplitHostPort(k.backend) // a program has none
	return []string{
		k.method, k.tool, k.prompt, k.operation(), k.end.errorType(), k.end.status, string(k.version), carrier, protocol, host, port, k.upstream,
	}
}

func (k clientKey) folded() clientKey {
	k.subject = k.subject.folded()
	return k
}

// carriers returns the conventions' labels for what carries messages to an upstream.
func carriers(over string) (transport, protocol string) {
	switch over {
	case "stdio":
		return "pipe", ""
	case "ws":
		return "tcp", "websocket"
	}
	return "tcp", "http"
}

// waitKey tells the series of headgate.queue.wait apart.
type waitKey struct{ upstream string }

func (k waitKey) values() []string { return []string{k.upstream} }
func (k waitKey) folded() waitKey  { return k }

// retryKey tells the series of headgate.upstream.retries apart.
type retryKey struct{ upstream string }

func (k retryKey) values() []string { return []string{k.upstream} }
func (k retryKey) folded() retryKey { return k }
