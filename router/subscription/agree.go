package subscription

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// want is a topic that a stream is about, and what its client calls it.
type want struct {
	topic
	exposed string
}

// place is whom to ask for what.
type place struct {
	upstream string
	task     bool
}

// agree asks the upstreams, all at the same time, and returns what they will tell of, in
// the order in which the client named it.
func (r *Registry) agree(ctx context.Context, c *rpc.Call, l *listen) []want {
	ctx, cancel := context.WithTimeout(ctx, agreeTimeout)
	defer cancel()
	wanted := r.locate(ctx, c, l.filter)
	r.mu.Lock()
	for _, w := range wanted {
		r.join(w.topic, l, w.exposed)
	}
	r.mu.Unlock()

	var all sync.WaitGroup
	for at, owns := range byPlace(wanted) {
		all.Go(func() { r.begin(ctx, l, at, owns) })
	}
	all.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(wanted, func(w want) bool {
		held := slices.Contains(l.held, w)
		if !held {
			r.leave(w.topic, l, w.exposed)
		}
		return !held
	})
}

// locate finds what a filter names. What is nowhere, or named twice, is left out.
func (r *Registry) locate(ctx context.Context, c *rpc.Call, f *filter) []want {
	var out []want
	seen := map[topic]bool{}
	add := func(t *rpc.Target, exposed string, task bool) {
		if t == nil || r.upstream(t.Upstream) == nil {
			return
		}
		w := want{topic{t.Upstream, t.Own, task}, exposed}
		if !seen[w.topic] {
			seen[w.topic] = true
			out = append(out, w)
		}
	}
	for _, uri := range f.uris {
		add(r.Locate(ctx, c, uri), uri, false)
	}
	for _, id := range f.tasks {
		add(r.Task(c, id), id, true)
	}
	return out
}

func byPlace(wanted []want) map[place][]want {
	out := map[place][]want{}
	for _, w := range wanted {
		at := place{w.upstream, w.task}
		out[at] = append(out[at], w)
	}
	return out
}

// begin asks one upstream, and notes what it agrees to.
func (r *Registry) begin(ctx context.Context, l *listen, at place, wanted []want) {
	up := r.upstream(at.upstream)
	if up == nil {
		return // it went just now
	}
	ask := up.Subscribe
	if at.task {
		ask = up.Follow
	}
	agreed, err := ask(ctx, owns(wanted))
	if err != nil {
		r.Log.DebugContext(ctx, "upstream does not tell of changes", "upstream", at.upstream, "error", err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range wanted {
		if slices.Contains(agreed, w.own) {
			l.held = append(l.held, w)
		}
	}
	if now := r.upstream(at.upstream); now != nil && now != up {
		wanted = slices.DeleteFunc(slices.Clone(wanted), func(w want) bool { return !slices.Contains(agreed, w.own) })
		r.listenAgain(l, at, wanted)
	}
}

// giveUp tells the upstreams that nobody here wants to hear of what they agreed to.
func (r *Registry) giveUp(held []want) {
	for at, wanted := range byPlace(held) {
		switch up := r.upstream(at.upstream); {
		case up == nil:
		case at.task:
			up.Unfollow(owns(wanted))
		default:
			up.Unsubscribe(owns(wanted))
		}
	}
}

func owns(wanted []want) []string {
	out := make([]string, len(wanted))
	for i, w := range wanted {
		out[i] = w.own
	}
	return out
}

// undeclared refuses a client that wants to hear of tasks and did not declare them
// (SEP-2663).
func undeclared(c *rpc.Call) *rpc.Message {
	return rpc.NewError(c.Message.ID, &rpc.WireError{
		Code: mcp.CodeMissingCapability, Message: "params.notifications." + mcp.FilterTasks + " needs the extension " + mcp.TasksExtension,
		Data: json.RawMessage(`{"requiredCapabilities":{"extensions":{"` + mcp.TasksExtension + `":{}}}}`),
	})
}
