package edge

import (
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// batch serves an array of messages on a connection of many. What their calls tell and
// ask goes out as it comes, the responses as one array when the last is known.
func (d *dialogue) batch(from rpc.Call, text []byte, refusal error) error {
	items, err := elements(d.current(), text, refusal)
	if err != nil {
		return err
	}
	d.hold() // until the array is out, although each of its calls is done before
	g := &gathering{dialogue: d}
	for _, item := range items {
		g.take(from, item)
	}
	d.running.Go(func() {
		defer d.finished()
		g.running.Wait()
		if len(g.held) > 0 {
			d.speak(g.held)
		}
	})
	return nil
}

// gathering is the outlet of all messages of an array.
type gathering struct {
	*dialogue
	running sync.WaitGroup

	mu   sync.Mutex
	held array // responses
}

func (g *gathering) take(from rpc.Call, text []byte) {
	m, err := g.element(text)
	if err == nil {
		from.Message, from.Record, from.Received = m, &rpc.Record{}, time.Now()
		err = g.legacy(&from, g, &g.running)
	}
	if err != nil && !m.IsNotification() {
		g.finish(rpc.NewError(m.ID, mcp.Failure(failure(err))), 0)
	}
}

// finish implements outlet. What was given for a call is gone when the call is over.
func (g *gathering) finish(m *rpc.Message, _ int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = append(g.held, m.Clone())
}
