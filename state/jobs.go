package state

import (
	"context"
	"errors"
	"time"
)

// Bounds of jobs, in bytes.
const (
	MaxJobName    = 256     // of an id, owner, tenant, class, label, key or digest
	MaxJobPayload = 4 << 20 // of a payload
	MaxJobResult  = 1 << 20 // of a result or failure
)

const (
	// KeepJobKey is how long an idempotency key leads to its job.
	KeepJobKey = 24 * time.Hour
	// KeepDeadJob is how long a dead job is kept at least.
	KeepDeadJob = 7 * 24 * time.Hour
)

var (
	// ErrNoJob is in the chain of the error for a job that is not there, or another's.
	ErrNoJob = errors.New("state: no such job")
	// ErrFenced is in the chain of the error for a worker whose job is no longer its own:
	// it was too late, or the job was cancelled. What it did is to be discarded.
	ErrFenced = errors.New("state: the job is no longer this worker's")
	// ErrJobState is in the chain of the error for what a job's state does not allow.
	ErrJobState = errors.New("state: not in the job's state")
	// ErrJobKey is in the chain of the error for an idempotency key that was used for another job.
	ErrJobKey = errors.New("state: the idempotency key was used for another job")
	// ErrManyJobs is in the chain of the error for a job of a tenant who has as many as it may.
	ErrManyJobs = errors.New("state: the tenant has as many jobs as it may")
)

// JobState is where a job stands. Those after JobRunning are final: nothing changes
// them, except that a dead job can be sent again.
type JobState uint8

const (
	// JobQueued waits for a worker.
	JobQueued JobState = 1 + iota
	// JobRunning has a worker.
	JobRunning
	// JobSucceeded has a result.
	JobSucceeded
	// JobFailed has a failure, or its one attempt was lost and nobody knows its outcome.
	JobFailed
	// JobCancelled was cancelled before it came to another end.
	JobCancelled
	// JobDead was tried as often as it may be; it waits for an operator.
	JobDead
)

// Final reports whether the state stays.
func (s JobState) Final() bool { return s > JobRunning }

// JobSpec is a job as it is enqueued. Its strings have at most [MaxJobName] bytes.
type JobSpec struct {
	ID       string        // random; whoever knows it and is the owner may ask
	Owner    string        // who may see and cancel it
	Tenant   string        // tenants take turns
	Class    string        // which workers take it
	Label    string        // what it is about, for people
	Key      string        // idempotency key, the owner's own; may be empty
	Digest   string        // of what is wanted: the same wherever the key may be used again
	Payload  []byte        // must not be changed
	Attempts int           // how often it may be begun; at least 1
	Keep     time.Duration // how long it and its result are kept once it is final
	Most     int           // how many of its tenant's may not be final, this one included; 0 for any number
}

// Job is a job as it stands.
type Job struct {
	ID, Owner, Tenant, Class, Label string

	State    JobState
	Attempt  int // how often it was begun
	Attempts int // how often it may be
	// Lost says that the last attempt ended because its worker was not heard of.
	Lost bool

	Created, Started, Finished time.Time // zero for what was not yet
	Queued                     time.Time // when it was enqueued, or sent again after it was dead
	NotBefore                  time.Time // of a queued job that failed before: when it may be begun again

	Payload []byte // only from Claim; must not be changed
	Result  []byte // of a final job, only from Get: the result or the failure
}

// Claim is a job in the hands of a worker. The fence tells its attempt from others.
type Claim struct {
	Job   Job
	Fence uint64
}

// Failure is how an attempt failed.
type Failure struct {
	Reason []byte        // kept if the job fails for good
	Retry  bool          // it may be tried again, if attempts are left; dead if not
	Spare  bool          // likewise, and this attempt does not count: the job was given back
	After  time.Duration // when, from now
}

// JobFilter selects jobs. Empty fields select all.
type JobFilter struct {
	Owner  string
	Tenant string
	State  JobState
	After  string // the id of the last one of the page before
	Limit  int    // most in a page; 100 if not positive, at most 1,000
}

// Jobs is a queue of work that outlives crashes: at least one attempt is made, and
// exactly one result is seen. What a method acknowledges is on disk, except for
// heartbeats. All methods may be called concurrently. Errors wrap those above,
// [ErrUnavailable] or [ErrClosed], or are that of ctx: then it may have been done.
type Jobs interface {
	// Enqueue takes a job. If the owner used its key in the last [KeepJobKey], nothing
	// is enqueued and the id is that of the job that was, which may be forgotten; if that
	// has another digest the error wraps [ErrJobKey]. An id that was used wraps [ErrJobState].
	Enqueue(ctx context.Context, spec JobSpec) (id string, existing bool, err error)

	// Claim waits for a job of one of the classes and hands it to the caller until the
	// visibility is over, which may be after ctx has ended; the first class that has one is served. Tenants take turns; jobs of one
	// go in their order. A job that is not heard of in its time is queued again, or
	// final if its attempts are used up.
	Claim(ctx context.Context, classes []string, visibility time.Duration) (Claim, error)
	// Heartbeat has the job stay the worker's for the visibility from now.
	Heartbeat(ctx context.Context, id string, fence uint64, visibility time.Duration) error
	// Complete ends the job with its result.
	Complete(ctx context.Context, id string, fence uint64, result []byte) error
	// Fail ends the attempt, and the job unless it is tried again. It returns what
	// became of it.
	Fail(ctx context.Context, id string, fence uint64, failure Failure) (JobState, error)

	// Cancel ends the owner's job, whether it runs or not, and returns the state that
	// it is in: another final one if it came before. Who is not the owner learns nothing by
	// how long it takes.
	Cancel(ctx context.Context, id, owner string) (JobState, error)
	// Get returns the owner's job.
	Get(ctx context.Context, id, owner string) (Job, error)

	// Find returns anybody's job. It is the operator's, as List and Redrive are.
	Find(ctx context.Context, id string) (Job, error)
	// List returns a page of jobs ordered by id.
	List(ctx context.Context, filter JobFilter) ([]Job, error)
	// Redrive queues a dead job again, with all its attempts.
	Redrive(ctx context.Context, id string) error
}
