package embedded

import "slices"

// jobQueue is the jobs of one class that can be begun: tenants take turns, and jobs of
// one go in their order.
type jobQueue struct {
	tenants map[string]*tenantQueue
	turns   []*tenantQueue // those that have jobs
	next    int            // whose turn it is
}

type tenantQueue struct {
	name string
	jobs heap[*queued]
}

// queued is a job's place in a queue.
type queued struct {
	job   *job
	index int
}

func (q *queued) due() int64  { return q.job.record.order }
func (q *queued) place() *int { return &q.index }

func newJobQueue() *jobQueue { return &jobQueue{tenants: make(map[string]*tenantQueue)} }

// add queues a job. A tenant that had none comes last in this round.
func (q *jobQueue) add(j *job) {
	t := q.tenants[j.record.tenant]
	if t == nil {
		t = &tenantQueue{name: j.record.tenant}
		q.tenants[t.name] = t
		q.turns = slices.Insert(q.turns, q.next, t)
		if len(q.turns) > 1 {
			q.next++
		}
		q.next %= len(q.turns)
	}
	t.jobs.push(&j.queued)
}

// take returns the job whose turn it is, or nil.
func (q *jobQueue) take() *job {
	if len(q.turns) == 0 {
		return nil
	}
	t := q.turns[q.next]
	first, _ := t.jobs.first()
	t.jobs.remove(first)
	if len(t.jobs) == 0 {
		q.drop(t)
	} else {
		q.next = (q.next + 1) % len(q.turns)
	}
	return first.job
}

// remove takes a job out, if it is there.
func (q *jobQueue) remove(j *job) {
	if j.queued.index == 0 {
		return
	}
	t := q.tenants[j.record.tenant]
	t.jobs.remove(&j.queued)
	if len(t.jobs) == 0 {
		q.drop(t)
	}
}

func (q *jobQueue) drop(t *tenantQueue) {
	delete(q.tenants, t.name)
	at := slices.Index(q.turns, t)
	q.turns = slices.Delete(q.turns, at, at+1)
	if at < q.next {
		q.next--
	}
	if q.next >= len(q.turns) {
		q.next = 0
	}
}
