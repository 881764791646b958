package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/headgate/headgate/state"
)

// Jobs is the part of an engine that keeps a queue of work. What is in memory is what
// the file says: a change is written first and seen after that. While it is on its way
// its job is busy, and other changes of that job wait.
type Jobs struct {
	clock  clock
	writes *committer
	db     *bbolt.DB
	room   int   // jobs
	bytes  int64 // of payloads and results, that are left

	mu      sync.Mutex
	idle    sync.Cond // a job is no longer busy
	jobs    map[string]*job
	keys    map[string]*job // by owner and idempotency key
	queues  map[string]*jobQueue
	open    map[string]int // of each tenant: those that are not final
	events  heap[*job]     // what happens without anybody doing it
	order   int64
	waiting int           // who waits for ready
	ready   chan struct{} // closed when there is something to claim

	wake    chan struct{} // the first event is another one
	closing chan struct{}
	stopped chan struct{}
}

var _ state.Jobs = (*Jobs)(nil)

type job struct {
	id     string
	record jobRecord // its state is zero until the job is in the file
	busy   bool
	late   int64 // running: when its worker is given up
	queued queued

	at    int64 // when something happens to it
	index int
}

func (b *job) due() int64  { return b.at }
func (b *job) place() *int { return &b.index }

func newJobs(c clock, db *bbolt.DB, writes *committer, o Options) *Jobs {
	j := &Jobs{
		clock: c, writes: writes, db: db, room: o.Jobs, bytes: o.JobBytes,
		jobs: make(map[string]*job), keys: make(map[string]*job), queues: make(map[string]*jobQueue), open: make(map[string]int),
		ready: make(chan struct{}), wake: make(chan struct{}, 1), closing: make(chan struct{}), stopped: make(chan struct{}),
	}
	j.idle.L = &j.mu
	return j
}

var errSpec = errors.New("state: the job is wrong")

func checkSpec(s state.JobSpec) error {
	for _, name := range []string{s.ID, s.Owner, s.Tenant, s.Class, s.Label, s.Key, s.Digest} {
		if len(name) > state.MaxJobName {
			return fmt.Errorf("%w: a name of %d bytes", errSpec, len(name))
		}
	}
	if s.ID == "" || s.Attempts < 1 || s.Keep < 0 || len(s.Payload) > state.MaxJobPayload {
		return fmt.Errorf("%w: id %q, %d attempts, kept %v, %d bytes", errSpec, s.ID, s.Attempts, s.Keep, len(s.Payload))
	}
	return nil
}

func keyOf(owner, key string) string { return owner + "\x00" + key }

// Enqueue takes a job.
func (j *Jobs) Enqueue(ctx context.Context, spec state.JobSpec) (string, bool, error) {
	if err := checkSpec(spec); err != nil {
		return "", false, err
	}
	j.mu.Lock()
	now := j.clock.nanos()
	if known := j.keyed(spec, now); known != nil {
		id, same := known.id, known.record.digest == spec.Digest
		j.mu.Unlock()
		if !same {
			return "", false, state.ErrJobKey
		}
		return id, true, nil
	}
	if err := j.admit(spec); err != nil {
		j.mu.Unlock()
		return "", false, err
	}
	j.order++
	next := jobRecord{
		owner: strings.Clone(spec.Owner), tenant: strings.Clone(spec.Tenant), class: strings.Clone(spec.Class), key: strings.Clone(spec.Key),
		digest: strings.Clone(spec.Digest), label: strings.Clone(spec.Label),
		state: state.JobQueued, attempts: int64(spec.Attempts), order: j.order,
		created: now, queued: now, keep: int64(spec.Keep), size: int64(len(spec.Payload)),
	}
	b := &job{id: strings.Clone(spec.ID)}
	j.jobs[b.id] = b
	if spec.Key != "" {
		next.keyUntil = now + int64(state.KeepJobKey)
		j.keys[keyOf(spec.Owner, spec.Key)] = b
	}
	return b.id, false, j.commit(ctx, b, next, write{place{payloadBucket, b.id}, sealed(b.id, slices.Clone(spec.Payload))})
}

// admit says why a job is not taken.
func (j *Jobs) admit(spec state.JobSpec) error {
	if _, used := j.jobs[spec.ID]; used {
		return fmt.Errorf("%w: its id was used", state.ErrJobState)
	}
	if spec.Most > 0 && j.open[spec.Tenant] >= spec.Most {
		return state.ErrManyJobs
	}
	if len(j.jobs) >= j.room || int64(len(spec.Payload)) > j.bytes {
		return errFull
	}
	return nil
}

// keyed returns the job that an idempotency key leads to, if there is one.
func (j *Jobs) keyed(spec state.JobSpec, now int64) *job {
	if spec.Key == "" {
		return nil
	}
	for {
		b := j.keys[keyOf(spec.Owner, spec.Key)]
		switch {
		case b == nil:
			return nil
		case b.record.state == 0:
			j.idle.Wait()
		case now >= b.record.keyUntil:
			return nil
		default:
			return b
		}
	}
}

// acquire returns a job that is not busy, or nil. The lock is held, and let go of
// while it waits.
func (j *Jobs) acquire(id string) *job {
	for {
		b := j.jobs[id]
		if b == nil || !b.busy {
			return b
		}
		j.idle.Wait()
	}
}

// commit has a job become next when that is in the file, together with other writes.
// The lock is held, and is not afterwards.
func (j *Jobs) commit(ctx context.Context, b *job, next jobRecord, others ...write) error {
	cmd, done := j.command(b, next, others)
	j.mu.Unlock()
	j.writes.submit(cmd)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// command makes a job busy. What is returned has to be submitted without the lock.
func (j *Jobs) command(b *job, next jobRecord, others []write) (command, <-chan error) {
	b.busy = true
	j.withdraw(b)
	j.charge(&b.record, &next)
	done := make(chan error, 1)
	writes := append(others, write{place{jobBucket, b.id}, next.encode(b.id)})
	return command{writes, func(err error) {
		j.finish(b, next, writes, err)
		done <- err
	}}, done
}

// finish ends that a job is busy.
func (j *Jobs) finish(b *job, next jobRecord, writes []write, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	b.busy = false
	switch {
	case err == nil:
		b.record = next
		j.settle(b)
	case b.record.state == 0:
		j.charge(&next, &b.record)
		j.undo(b, writes)
		j.forget(b, next)
	default:
		j.charge(&next, &b.record)
		j.undo(b, writes)
		b.late = max(b.late, j.clock.nanos()+int64(retryAfter))
		j.settle(b)
	}
	j.idle.Broadcast()
}

// charge counts what a job takes when it becomes another one. One of them may be none.
func (j *Jobs) charge(from, to *jobRecord) {
	j.bytes -= to.size - from.size
	if more := to.open() - from.open(); more != 0 {
		tenant := to.tenant
		if to.state == 0 {
			tenant = from.tenant
		}
		if j.open[tenant] += more; j.open[tenant] == 0 {
			delete(j.open, tenant)
		}
	}
}

// undo has the file say again what it said, in case it got a part of what failed.
// Payloads and results that no record counts on do no harm.
func (j *Jobs) undo(b *job, writes []write) {
	if b.record.state != 0 {
		j.writes.put(jobBucket, b.id, b.record.encode(b.id))
		return
	}
	for _, w := range writes {
		j.writes.put(w.bucket, w.key, nil)
	}
}

// forget drops a job from memory. A key may lead to a newer one.
func (j *Jobs) forget(b *job, record jobRecord) {
	delete(j.jobs, b.id)
	if key := keyOf(record.owner, record.key); j.keys[key] == b {
		delete(j.keys, key)
	}
}

// settle puts a job where its state has it wait.
func (j *Jobs) settle(b *job) {
	r := &b.record
	switch {
	case r.state == state.JobRunning:
		b.at = b.late
	case r.state.Final() && r.forgotten:
		b.at = r.keyUntil
	case r.state.Final():
		b.at = r.until
	case r.notBefore > j.clock.nanos():
		b.at = r.notBefore
	default:
		j.queue(b)
		return
	}
	j.events.push(b)
	if first, _ := j.events.first(); first == b {
		nudge(j.wake)
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// queue has a job be claimed.
func (j *Jobs) queue(b *job) {
	q := j.queues[b.record.class]
	if q == nil {
		q = newJobQueue()
		j.queues[b.record.class] = q
	}
	b.queued.job = b
	q.add(b)
	if j.waiting > 0 {
		close(j.ready)
		j.ready, j.waiting = make(chan struct{}), 0
	}
}

// withdraw takes a job from where it waits.
func (j *Jobs) withdraw(b *job) {
	j.events.remove(b)
	if q := j.queues[b.record.class]; q != nil {
		q.remove(b)
		if len(q.turns) == 0 {
			delete(j.queues, b.record.class)
		}
	}
}

// visible reports whether the owner may see a job.
func (j *Jobs) visible(b *job, owner string) bool {
	return b != nil && b.record.state != 0 && b.record.owner == owner && !j.over(b)
}

// over reports whether a job is to be forgotten, or is.
func (j *Jobs) over(b *job) bool {
	return b.record.forgotten || b.record.state.Final() && j.clock.nanos() >= b.record.until
}

// load takes over a job from the file. Who ran it is gone.
func (j *Jobs) load(id string, value []byte) error {
	b := &job{id: id}
	if err := b.record.decode(id, value); err != nil {
		return err
	}
	j.jobs[id] = b
	if b.record.key != "" {
		key := keyOf(b.record.owner, b.record.key)
		if other := j.keys[key]; other == nil || other.record.created < b.record.created {
			j.keys[key] = b
		}
	}
	j.order = max(j.order, b.record.order)
	j.charge(&jobRecord{}, &b.record)
	j.settle(b)
	return nil
}

// check sees that payloads and results are whole, and that no job lacks its payload.
func (j *Jobs) check() error {
	payloads := 0
	err := errors.Join(
		readBucket(j.db, payloadBucket, func(id string, text []byte) error {
			if b := j.jobs[id]; b != nil && !b.record.state.Final() {
				payloads++
			}
			_, err := unsealed(id, text)
			return err
		}),
		readBucket(j.db, resultBucket, func(id string, text []byte) error {
			_, err := unsealed(id, text)
			return err
		}))
	for _, b := range j.jobs {
		if !b.record.state.Final() {
			payloads--
		}
	}
	if err == nil && payloads != 0 {
		err = fmt.Errorf("%w: %d jobs lack their payload", ErrDamaged, -payloads)
	}
	return err
}
