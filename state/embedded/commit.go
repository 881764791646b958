package embedded

import (
	"context"
	"fmt"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/headgate/headgate/state"
)

// place is where a value lies in the file.
type place struct{ bucket, key string }

// committer gathers writes and does them in groups, one transaction each. Of several
// writes to one place only the last is done.
type committer struct {
	db   *bbolt.DB
	wake chan struct{} // something is to be written

	mu      sync.Mutex
	pending map[place][]byte // a nil value removes
	after   map[place]func() // what is to be done when the file has a value of pending
	waiting []chan error     // who wants to know that what is pending is on disk
	closed  bool
}

func newCommitter(db *bbolt.DB) *committer {
	return &committer{db: db, wake: make(chan struct{}, 1), pending: map[place][]byte{}, after: map[place]func(){}}
}

// put has a value written soon, or removed if it is nil.
func (c *committer) put(bucket, key string, value []byte) {
	c.putThen(bucket, key, value, nil)
}

// putThen is put, and calls done when the file has the value, unless another was put
// in its place before. It is called without locks of the committer.
func (c *committer) putThen(bucket, key string, value []byte, done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	at := place{bucket, key}
	c.pending[at] = value
	if done == nil {
		delete(c.after, at)
	} else {
		c.after[at] = done
	}
	c.rouse()
}

// sync waits until all that was put before is on disk. If ctx ends first, it is
// written nevertheless.
func (c *committer) sync(ctx context.Context) error {
	done := make(chan error, 1)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return state.ErrClosed
	}
	c.waiting = append(c.waiting, done)
	c.rouse()
	c.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *committer) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// commit writes what is pending. One goroutine at a time calls it. What could not be
// written stays pending, and all who wait for it are told.
func (c *committer) commit() error {
	c.mu.Lock()
	group, after, waiting := c.pending, c.after, c.waiting
	c.pending, c.after, c.waiting = make(map[place][]byte), make(map[place]func()), nil
	c.mu.Unlock()
	err := c.write(group)
	if err != nil {
		c.keep(group, after)
	} else {
		for _, done := range after {
			done()
		}
	}
	for _, done := range waiting {
		done <- err
	}
	return err
}

func (c *committer) write(group map[place][]byte) error {
	if len(group) == 0 {
		return nil
	}
	err := c.db.Update(func(tx *bbolt.Tx) error {
		for at, value := range group {
			b := tx.Bucket([]byte(at.bucket))
			var err error
			if value == nil {
				err = b.Delete([]byte(at.key))
			} else {
				err = b.Put([]byte(at.key), value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: write %d entries: %w", state.ErrUnavailable, len(group), err)
	}
	return nil
}

// keep puts a group back, except for places that were written anew meanwhile.
func (c *committer) keep(group map[place][]byte, after map[place]func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, value := range group {
		if _, newer := c.pending[at]; newer {
			continue
		}
		c.pending[at] = value
		if done := after[at]; done != nil {
			c.after[at] = done
		}
	}
}

// close writes what is left and takes no more.
func (c *committer) close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	return c.commit()
}
