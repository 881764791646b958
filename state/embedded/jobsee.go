package embedded

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/headgate/headgate/state"
)

// Get returns the owner's job.
func (j *Jobs) Get(_ context.Context, id, owner string) (state.Job, error) {
	return j.see(id, func(b *job) bool { return j.visible(b, owner) })
}

// Find returns anybody's job.
func (j *Jobs) Find(_ context.Context, id string) (state.Job, error) {
	return j.see(id, func(b *job) bool { return b != nil && j.visible(b, b.record.owner) })
}

// see returns a job that may be seen, with its result as that is in the same moment.
func (j *Jobs) see(id string, may func(*job) bool) (state.Job, error) {
	for {
		j.mu.Lock()
		b := j.jobs[id]
		if !may(b) {
			j.mu.Unlock()
			return state.Job{}, state.ErrNoJob
		}
		record := b.record
		j.mu.Unlock()
		out := record.job(id)
		if !record.state.Final() {
			return out, nil
		}
		var err error
		if out.Result, err = j.read(resultBucket, id); err != nil {
			return state.Job{}, err
		}
		j.mu.Lock()
		same := j.jobs[id] == b && b.record == record
		j.mu.Unlock()
		if same {
			return out, nil
		}
	}
}

// read returns a payload or result, nil if there is none.
func (j *Jobs) read(bucket, id string) (out []byte, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		text := tx.Bucket([]byte(bucket)).Get([]byte(id))
		if text == nil {
			return nil
		}
		body, err := unsealed(id, text)
		out = append([]byte{}, body...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", state.ErrUnavailable, bucket, err)
	}
	return out, nil
}

// List returns a page of jobs ordered by id.
func (j *Jobs) List(_ context.Context, filter state.JobFilter) ([]state.Job, error) {
	limit := min(filter.Limit, 1000)
	if limit <= 0 {
		limit = 100
	}
	found := j.chosen(filter)
	slices.SortFunc(found, func(a, b *job) int { return strings.Compare(a.id, b.id) }) // while others go on
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]state.Job, 0, min(limit, len(found)))
	for _, b := range found {
		if len(out) == limit {
			break
		}
		if j.selected(b, filter) {
			out = append(out, b.record.job(b.id))
		}
	}
	return out, nil
}

// chosen returns the jobs that a filter selects, in any order.
func (j *Jobs) chosen(filter state.JobFilter) (found []*job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, b := range j.jobs {
		if id > filter.After && j.selected(b, filter) {
			found = append(found, b)
		}
	}
	return found
}

func (j *Jobs) selected(b *job, filter state.JobFilter) bool {
	r := &b.record
	return r.state != 0 && !j.over(b) && (filter.State == 0 || r.state == filter.State) &&
		(filter.Owner == "" || r.owner == filter.Owner) && (filter.Tenant == "" || r.tenant == filter.Tenant)
}
