package policy

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/config"
)

const (
	// auditQueue is how many events wait for the disk.
	auditQueue = 8192
	// auditBatch is about how many bytes are written at once.
	auditBatch = 64 << 10
	// auditRetry is how long after a failure the file is tried again.
	auditRetry = time.Second
)

// AuditTrail adds events to a file, from a goroutine of its own. It may be used by many
// goroutines at once.
type AuditTrail struct {
	cfg     config.Audit
	log     *slog.Logger
	queue   chan *AuditEvent
	dropped atomic.Int64
	written atomic.Int64
	failure atomic.Pointer[error] // why nothing can be written now
	closing chan struct{}
	done    sync.WaitGroup

	file   *os.File
	digest string // of the last line, if lines are chained
}

// OpenAudit opens the file of an audit log, and goes on with the chain that it ends in.
// [AuditTrail.Close] must be called.
func OpenAudit(cfg config.Audit, log *slog.Logger) (*AuditTrail, error) {
	t := &AuditTrail{cfg: cfg, log: log, queue: make(chan *AuditEvent, auditQueue), closing: make(chan struct{})}
	if cfg.Chain {
		var err error
		if t.digest, err = lastDigest(cfg.File); err != nil {
			return nil, fmt.Errorf("audit log: %w", err)
		}
	}
	if err := t.open(); err != nil {
		return nil, fmt.Errorf("audit log: %w", err)
	}
	t.done.Go(t.run)
	return t, nil
}

func (t *AuditTrail) open() (err error) {
	t.file, err = os.OpenFile(t.cfg.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return err
}

// Admit returns why no call may be made now, because it could not be noted.
func (t *AuditTrail) Admit() error {
	if !t.cfg.Required {
		return nil
	}
	if failure := t.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// Write notes an event. Where the log is required it waits for room, else it drops what
// there is no room for.
func (t *AuditTrail) Write(e *AuditEvent) {
	if !t.cfg.Required {
		select {
		case t.queue <- e:
		default:
			t.drop(1)
		}
		return
	}
	select {
	case t.queue <- e:
	case <-t.closing:
		t.drop(1)
	}
}

// Dropped returns how many events were not written.
func (t *AuditTrail) Dropped() int64 { return t.dropped.Load() }

// Written returns how many events the file has taken.
func (t *AuditTrail) Written() int64 { return t.written.Load() }

func (t *AuditTrail) drop(n int64) {
	if t.dropped.Add(n) == n {
		t.log.Error("audit log: events are dropped", "file", t.cfg.File)
	}
}

// Close writes what is queued, unless the file does not take it, and ends the trail.
func (t *AuditTrail) Close() error {
	close(t.closing)
	t.done.Wait()
	return t.file.Close()
}

// run writes until the trail is closed, and then what is queued.
func (t *AuditTrail) run() {
	for {
		select {
		case e := <-t.queue:
			t.write(t.collect(e))
		case <-t.closing:
			for len(t.queue) > 0 {
				t.write(t.collect(<-t.queue))
			}
			return
		}
	}
}

// batch is lines that are written together.
type batch struct {
	text  []byte
	count int64
}

// collect makes lines of an event and of those that wait behind it.
func (t *AuditTrail) collect(e *AuditEvent) batch {
	var b batch
	for {
		line, err := t.format(e)
		if err != nil {
			t.log.Error("audit log: an event cannot be written", "error", err)
			t.drop(1)
		} else {
			b.text, b.count = append(append(b.text, line...), '\n'), b.count+1
		}
		if len(b.text) >= auditBatch {
			return b
		}
		select {
		case e = <-t.queue:
		default:
			return b
		}
	}
}

// format writes an event as a line, chained to the one before.
func (t *AuditTrail) format(e *AuditEvent) ([]byte, error) {
	if !t.cfg.Chain {
		return e.line()
	}
	e.Previous = t.digest
	if err := e.seal(); err != nil {
		return nil, err
	}
	t.digest = e.Digest
	return e.line()
}

// write adds lines to the file, and tries until it has taken them.
func (t *AuditTrail) write(b batch) {
	for {
		err := t.add(b.text)
		if err == nil {
			t.written.Add(b.count)
			if t.failure.Swap(nil) != nil {
				t.log.Info("audit log: lines are written again", "file", t.cfg.File)
			}
			return
		}
		if t.failure.Swap(&err) == nil {
			t.log.Error("audit log: lines cannot be written", "file", t.cfg.File, "error", err)
		}
		select {
		case <-t.closing:
			t.drop(b.count)
			return
		case <-time.After(auditRetry):
		}
	}
}

// add writes whole lines or nothing.
func (t *AuditTrail) add(text []byte) error {
	if err := t.follow(); err != nil {
		return err
	}
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if _, err = t.file.Write(text); err != nil {
		return errors.Join(err, t.file.Truncate(info.Size()))
	}
	return nil
}

// follow begins a new file where the old one was moved away.
func (t *AuditTrail) follow() error {
	here, err := os.Stat(t.cfg.File)
	ours, err2 := t.file.Stat()
	if err == nil && err2 == nil && os.SameFile(here, ours) {
		return nil
	}
	old := t.file
	if err := t.open(); err != nil {
		t.file = old
		return err
	}
	return old.Close()
}
