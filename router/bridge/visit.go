package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// visitPatience is how long a call waits for pages that its user has agreed to visit. After
// that the user is asked again.
const visitPatience = 30 * time.Second

// visitFirst puts the error of a server that wants pages to be visited first (MCP
// 2025-11-25, Elicitation, URL Elicitation Required) in modern terms: input is required, and the call is
// made again when the user has consented.
func (b *Bridge) visitFirst(c *rpc.Call, m *rpc.Message) *rpc.Message {
	if !mcp.AskingOf(c.Client.Capabilities).URL {
		return rpc.NewError(m.ID, &rpc.WireError{
			Code: mcp.CodeMissingCapability, Message: m.Err.Message,
			Data: json.RawMessage(`{"requiredCapabilities":{"elicitation":{"url":{}}}}`),
		})
	}
	requests, err := visits(m.Err.Data)
	if err != nil {
		return failed(c, m, err.Error())
	}
	return needs(m.ID, requests, b.seal(c, handle{Kind: callAgain, Expires: stateEnd()}))
}

// visits reads the pages that a legacy server wants to be visited, as input requests
// with the ids that it gave them as keys.
func visits(data []byte) ([]answer, error) {
	wrong := errors.New("it wants pages to be visited and does not say which")
	o, err := rpc.ReadObject(data)
	if err != nil {
		return nil, wrong
	}
	list, _ := o.Get("elicitations")
	items, err := rpc.Elements(list)
	if err != nil || len(items) == 0 || len(items) > maxQuestions {
		return nil, wrong
	}
	seen := map[string]bool{}
	var out []answer
	for _, item := range items {
		page, err := rpc.ReadObject(item)
		if err != nil {
			return nil, wrong
		}
		id, ok := page.Text("elicitationId")
		if !ok || seen[id] {
			return nil, wrong
		}
		seen[id] = true
		params := put(drop(item, "elicitationId"), "mode", []byte(`"url"`))
		out = append(out, answer{id, append(append([]byte(`{"method":"elicitation/create","params":`), params...), '}')})
	}
	return out, nil
}

// consented returns which pages the user agreed to visit, and whether that was all of
// them.
func consented(m *rpc.Message) (pages map[string]bool, all bool) {
	text, _ := m.Get(inputResponses)
	o, err := rpc.ReadObject(text)
	if err != nil {
		return nil, false
	}
	pages, all = map[string]bool{}, o.Len() > 0
	o.Each(func(page string, value json.RawMessage) bool {
		result, err := rpc.ReadObject(value)
		if err != nil {
			all = false
			return false
		}
		action, _ := result.Text("action")
		pages[page] = true
		all = all && action == "accept"
		return all
	})
	return pages, all
}

// declined answers for a call whose user did not agree to visit the pages.
func declined(c *rpc.Call) *rpc.Message {
	const text = "The user did not agree to visit the pages that the server asked for."
	if c.Method.Name == mcp.ToolsCall {
		return toolFailure(c.Message.ID, text, `,"resultType":"complete"`)
	}
	return rpc.NewError(c.Message.ID, &rpc.WireError{Code: mcp.CodeInternal, Message: text})
}

// visitLater tells a client of a revision that has no pages to visit what is wanted. The
// address is meant for the user's eyes and not for the model's (MCP 2025-11-25,
// Elicitation, URL Mode), so it is left out.
func visitLater(c *rpc.Call, m *rpc.Message) *rpc.Message {
	return failure(c, m.ID, "wants pages to be visited first, which takes a client of revision 2025-11-25 or later: "+rpc.Excerpt(m.Err.Message))
}

// visited returns a handler for a call whose user has agreed to visit pages, and may
// still be about it: while the server asks for nothing but these, the call is made again. A
// call that is refused so has not run.
func visited(pages map[string]bool, next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		reply, err := next.Handle(ctx, c)
		if err != nil || !crosses(c, reply) {
			return reply, err
		}
		return wrap(reply, &visiting{
			ctx: ctx, call: c, next: next, pages: pages, until: time.Now().Add(visitPatience),
			closed: make(chan struct{}), reply: reply,
		}), nil
	})
}

// visiting is the reply to such a call.
type visiting struct {
	ctx    context.Context //nolint:containedctx // the call's
	call   *rpc.Call
	next   rpc.Handler
	pages  map[string]bool
	until  time.Time
	pause  time.Duration // used by Next only
	closed chan struct{}

	mu    sync.Mutex
	reply *rpc.Reply // of the call as it was made last
	done  bool
}

var _ rpc.Source = (*visiting)(nil)

// Next implements [rpc.Source].
func (v *visiting) Next() (*rpc.Message, error) {
	for {
		m, err := v.now().Next()
		if err != nil || !v.unfinished(m) {
			return m, err
		}
		v.pause = min(max(2*v.pause, askAgainFirst), askAgainLast)
		if time.Until(v.until) < v.pause {
			return m, nil
		}
		if err := v.sleep(); err != nil {
			return nil, err
		}
		if err := v.again(); err != nil {
			return nil, err
		}
	}
}

// unfinished reports whether a message says that the pages have not been visited to
// their end.
func (v *visiting) unfinished(m *rpc.Message) bool {
	if m.Err == nil || m.Err.Code != mcp.CodeURLElicitation {
		return false
	}
	wanted, err := visits(m.Err.Data)
	for _, page := range wanted {
		if !v.pages[page.key] {
			return false
		}
	}
	return err == nil
}

func (v *visiting) sleep() error {
	timer := time.NewTimer(v.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-v.ctx.Done():
		return context.Cause(v.ctx)
	case <-v.closed:
		return errClosed
	}
}

func (v *visiting) again() error {
	reply, err := v.next.Handle(v.ctx, v.call)
	if err != nil {
		return err
	}
	v.mu.Lock()
	old, done := v.reply, v.done
	v.reply = reply
	v.mu.Unlock()
	_ = old.Close() // it has ended
	if done {
		_ = reply.Close()
		return errClosed
	}
	return nil
}

func (v *visiting) now() *rpc.Reply {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.reply
}

// Answer implements [rpc.Source].
func (v *visiting) Answer(m *rpc.Message) error { return v.now().Answer(m) }

// Close implements [rpc.Source].
func (v *visiting) Close() error {
	close(v.closed)
	v.mu.Lock()
	v.done = true
	reply := v.reply
	v.mu.Unlock()
	return reply.Close()
}
