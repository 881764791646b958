package edge

import (
	"context"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
)

// connections are the open dialogues of an edge. net/http does not know them: it
// forgets a connection that changed its protocol.
type connections struct {
	mu      sync.Mutex
	open    map[string]*dialogue
	closing bool
	all     sync.WaitGroup
}

// add makes a dialogue known, if there is room for one more.
func (c *connections) add(d *dialogue, most int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return errShutdown()
	}
	if len(c.open) >= most {
		err := rpc.Errorf(rpc.Overloaded, "the gateway has %d connections open already that carry many messages", most)
		err.RetryAfter, err.NotRun = overloadPause, true
		return err
	}
	if c.open == nil {
		c.open = map[string]*dialogue{}
	}
	c.open[d.id] = d
	c.all.Add(1)
	return nil
}

func (c *connections) find(id string) (*dialogue, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, ok := c.open[id]
	return d, ok
}

func (c *connections) remove(d *dialogue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, d.id)
	c.all.Done()
}

// close refuses new ones and calls end for each that is open.
func (c *connections) close(end func(*dialogue)) {
	c.mu.Lock()
	c.closing = true
	open := make([]*dialogue, 0, len(c.open))
	for _, d := range c.open {
		open = append(open, d)
	}
	c.mu.Unlock()
	for _, d := range open {
		end(d)
	}
}

// Close ends the connections that net/http does not end: WebSockets and HTTP+SSE. Each
// ends when it has no call in flight. When ctx ends, the calls of all legacy sessions
// and connections are given up, and their clients get a moment to be told; then all
// connections end. New ones are refused.
func (e *Edge) Close(ctx context.Context) error {
	e.dialogues.close((*dialogue).retire)
	done := make(chan struct{})
	go func() {
		e.dialogues.all.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	e.Sessions.GiveUp(errShutdown())
	e.dialogues.close((*dialogue).giveUp)
	last := time.NewTimer(lastWord)
	defer last.Stop()
	select {
	case <-done:
		return nil
	case <-last.C:
	}
	e.dialogues.close(func(d *dialogue) { d.cancel(errShutdown()) })
	<-done
	return nil
}
