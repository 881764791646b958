package embedded

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/headgate/headgate/state"
)

// Bounds of a transaction: of its commands, the bytes they write until no more are added.
const (
	maxCommands     = 256
	maxCommandBytes = 16 << 20
)

// place is where a value lies in the file.
type place struct{ bucket, key string }

// write is a value for a place; nil removes.
type write struct {
	place
	value []byte
}

// command is writes that are done together or not at all.
type command struct {
	writes []write
	done   func(error)
}

// committer gathers writes and does them in groups, one transaction each. There are
// two sorts. What is put is true already: of several values for one place only
// the last is written, and what could not be written is tried again. A command becomes
// true by being written: if it cannot be, it is forgotten, and who submitted it is
// told.
type committer struct {
	db   *bbolt.DB
	sums map[string]bucketSum // of what is in the file
	wake chan struct{}        // something is to be written

	mu       sync.Mutex
	pending  map[place][]byte // a nil value removes
	after    map[place]func() // what is to be done when the file has a value of pending
	commands []command
	waiting  []chan error // who wants to know that what is pending is on disk
	closed   bool
}

func newCommitter(db *bbolt.DB, sums map[string]bucketSum) *committer {
	return &committer{db: db, sums: sums, wake: make(chan struct{}, 1), pending: map[place][]byte{}, after: map[place]func(){}}
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

// submit has a command done soon, after what was put before, and then calls done,
// without locks of the committer.
func (c *committer) submit(cmd command) {
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.commands = append(c.commands, cmd)
		c.rouse()
	}
	c.mu.Unlock()
	if closed {
		cmd.done(state.ErrClosed)
	}
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

// transaction is what is written at once, and who is told.
type transaction struct {
	pending  map[place][]byte
	after    map[place]func()
	commands []command
	waiting  []chan error
}

// next takes what is to be written now.
func (c *committer) next() transaction {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, bytes := 0, 0
	for ; n < min(len(c.commands), maxCommands) && bytes < maxCommandBytes; n++ {
		for _, w := range c.commands[n].writes {
			bytes += len(w.value)
		}
	}
	t := transaction{c.pending, c.after, c.commands[:n:n], c.waiting}
	c.pending, c.after, c.waiting = make(map[place][]byte), make(map[place]func()), nil
	if c.commands = c.commands[n:]; len(c.commands) > 0 {
		c.rouse()
	} else {
		c.commands = nil
	}
	return t
}

// commit writes what is pending. One goroutine at a time calls it.
func (c *committer) commit() error {
	t := c.next()
	err := c.write(t)
	if err != nil {
		c.keep(t.pending, t.after)
	} else {
		for _, done := range t.after {
			done()
		}
	}
	for _, cmd := range t.commands {
		cmd.done(err)
	}
	for _, done := range t.waiting {
		done <- err
	}
	return err
}

func (c *committer) write(t transaction) error {
	if len(t.pending) == 0 && len(t.commands) == 0 {
		return nil
	}
	sums := maps.Clone(c.sums)
	err := c.db.Update(func(tx *bbolt.Tx) error { return t.do(tx, sums) })
	if err != nil {
		return fmt.Errorf("%w: write %d entries and %d commands: %w", state.ErrUnavailable, len(t.pending), len(t.commands), err)
	}
	c.sums = sums
	return nil
}

// do makes the writes, and has sums and the file say what is there then.
func (t *transaction) do(tx *bbolt.Tx, sums map[string]bucketSum) error {
	for at, value := range t.pending {
		if err := (write{at, value}).do(tx, sums); err != nil {
			return err
		}
	}
	for _, cmd := range t.commands {
		for _, w := range cmd.writes {
			if err := w.do(tx, sums); err != nil {
				return err
			}
		}
	}
	return writeSums(tx, sums)
}

func (w write) do(tx *bbolt.Tx, sums map[string]bucketSum) error {
	b, key, s := tx.Bucket([]byte(w.bucket)), []byte(w.key), sums[w.bucket]
	if old := b.Get(key); old != nil {
		s.remove(key, old)
	}
	if w.value == nil {
		sums[w.bucket] = s
		return b.Delete(key)
	}
	s.add(key, w.value)
	sums[w.bucket] = s
	return b.Put(key, w.value)
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
	for {
		if err := c.commit(); err != nil {
			return err
		}
		c.mu.Lock()
		left := len(c.commands)
		c.mu.Unlock()
		if left == 0 {
			return nil
		}
	}
}
