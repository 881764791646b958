//go:build linux

package main

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/headgate/headgate/test/load/generator"
)

// crowd is many clients that listen on their streams.
type crowd struct {
	sessions []*generator.Session
	leaving  atomic.Bool
	left     sync.Once
	reading  sync.WaitGroup
	heard    atomic.Int64 // streams that heard of a change of tools
	lost     atomic.Int64 // streams that ended before leave
}

// openCrowd opens n sessions with their streams, some at a time.
func openCrowd(ctx context.Context, url string, n int) (*crowd, error) {
	const atATime = 32
	c := &crowd{sessions: make([]*generator.Session, n)}
	opening, ctx := errgroup.WithContext(ctx)
	opening.SetLimit(atATime)
	for i := range n {
		opening.Go(func() error {
			session, err := generator.OpenSession(ctx, url, localAddress(i))
			if err != nil {
				return err
			}
			c.sessions[i] = session
			return session.Listen()
		})
	}
	if err := opening.Wait(); err != nil {
		c.leave()
		return nil, err
	}
	for _, session := range c.sessions {
		c.reading.Go(func() { c.read(session) })
	}
	return c, nil
}

// localAddress spreads the clients over loopback addresses, each of which has ports for some 28,000 connections, those that
// linger after a run before included.
func localAddress(client int) netip.Addr {
	const perAddress = 4000
	return netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + client/perAddress)})
}

// read listens until the stream ends.
func (c *crowd) read(session *generator.Session) {
	told := false
	for {
		message, err := session.Next()
		if err != nil {
			if !c.leaving.Load() {
				c.lost.Add(1)
			}
			return
		}
		if !told && bytes.Contains(message, []byte(`"notifications/tools/list_changed"`)) {
			told = true
			c.heard.Add(1)
		}
	}
}

// ended returns the number of streams that have ended by themselves.
func (c *crowd) ended() int { return int(c.lost.Load()) }

// awaitHeard waits until all streams have heard of the change, and returns how many have when patience is over.
func (c *crowd) awaitHeard(ctx context.Context, patience time.Duration) int {
	const interval = 5 * time.Millisecond
	for begin := time.Now(); c.heard.Load() < int64(len(c.sessions)) && time.Since(begin) < patience && ctx.Err() == nil; {
		pause(ctx, interval)
	}
	return int(c.heard.Load())
}

// leave closes all connections, as clients that are killed do.
func (c *crowd) leave() {
	c.left.Do(func() {
		c.leaving.Store(true)
		for _, session := range c.sessions {
			if session != nil {
				session.Close()
			}
		}
		c.reading.Wait()
	})
}

// warmUp opens and closes a few streams, so that what the target sets up once is there before memory is read.
func (t *idleTarget) warmUp(ctx context.Context) error {
	const few = 50
	c, err := openCrowd(ctx, t.url, few)
	if err == nil {
		c.leave()
	}
	return err
}

// countTools lists the tools in a session of its own.
func (t *idleTarget) countTools(ctx context.Context) (int, error) {
	session, err := generator.OpenSession(ctx, t.url, netip.Addr{})
	if err != nil {
		return 0, err
	}
	defer session.Close()
	return session.CountTools()
}
