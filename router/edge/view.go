package edge

import (
	"net/netip"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Connection is what operators are shown of a connection that carries many messages: a
// WebSocket, HTTP+SSE or a pair of pipes.
type Connection struct {
	ID        string // good for [Edge.Disconnect], and unlike its own no secret
	Via       string
	Endpoint  string
	Principal rpc.Principal
	Remote    netip.AddrPort
	Session   string // key of the legacy session; empty if there is none
	Since     time.Time
	InFlight  int
}

// Connections returns those that are open, the oldest first.
func (e *Edge) Connections() []Connection {
	e.dialogues.mu.Lock()
	open := make([]*dialogue, 0, len(e.dialogues.open))
	for _, d := range e.dialogues.open {
		open = append(open, d)
	}
	e.dialogues.mu.Unlock()
	out := make([]Connection, 0, len(open))
	for _, d := range open {
		out = append(out, d.view())
	}
	slices.SortFunc(out, func(a, b Connection) int { return a.Since.Compare(b.Since) })
	return out
}

func (d *dialogue) view() Connection {
	c := Connection{ID: d.shown, Via: d.via, Endpoint: d.endpoint, Principal: d.owner, Remote: d.remote, Since: d.since}
	d.mu.Lock()
	defer d.mu.Unlock()
	c.InFlight = d.active
	if d.session != nil {
		c.Session = d.session.Client().Session
	}
	return c
}

// Disconnect ends a connection, and what is in flight on it, for a cause. It returns false
// if there is none with this id.
func (e *Edge) Disconnect(id string, cause error) bool {
	e.dialogues.mu.Lock()
	defer e.dialogues.mu.Unlock()
	for _, d := range e.dialogues.open {
		if d.shown == id {
			d.cancel(cause)
			return true
		}
	}
	return false
}
