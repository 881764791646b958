package demo

import (
	"encoding/json"
	"net/http"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/mcp"
)

// answer is what a tools/call is answered with: one JSON object or, once progress has been reported, an event stream that ends with the
// response. The first message decides.
type answer struct {
	x         *exchange
	token     json.RawMessage // the client's, sent back as it came
	wanted    bool
	streaming bool
}

// report sends progress, if the client wants it.
func (a *answer) report(progress, total int, message string) error {
	if !a.wanted {
		return nil
	}
	params, err := json.Marshal(struct {
		Token    json.RawMessage `json:"progressToken"`
		Progress int             `json:"progress"`
		Total    int             `json:"total"`
		Message  string          `json:"message"`
	}{a.token, progress, total, message})
	if err != nil {
		return err
	}
	return a.event(rpc.NewNotification(mcp.Progress, params))
}

// finish sends the response.
func (a *answer) finish(result result) {
	if !a.streaming {
		a.x.respond(result)
		return
	}
	_ = a.event(a.x.result(result)) // a client that left needs no answer
}

func (a *answer) event(m *rpc.Message) error {
	if !a.streaming {
		h := a.x.w.Header()
		h.Set("Content-Type", typeEvents)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no")
		a.streaming = true
	}
	if _, err := a.x.w.Write(frame.AppendEvent(nil, frame.Event{Data: m.AppendTo(nil)})); err != nil {
		return err
	}
	return http.NewResponseController(a.x.w).Flush()
}
