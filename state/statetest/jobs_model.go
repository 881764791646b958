package statetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/headgate/headgate/state"
)

// jobModel says in the plainest way what a queue of jobs means.
type jobModel struct {
	now     time.Duration
	jobs    []*modelJob // all that ever were, in their order
	claims  int
	waiting map[string]int // class and tenant: since which claim it has had a job to be claimed
	served  map[string]int // the claim that it was served by
}

type modelJob struct {
	spec      state.JobSpec
	state     state.JobState
	attempt   int
	lost      bool
	result    string
	fence     uint64
	enqueued  time.Duration
	late      time.Duration // running: when it is lost
	notBefore time.Duration // queued
	until     time.Duration // final: when it is forgotten
}

func newJobModel() *jobModel {
	return &jobModel{waiting: map[string]int{}, served: map[string]int{}}
}

const modelVisibility = 30 * time.Second

func (j *modelJob) turn() string { return j.spec.Class + "/" + j.spec.Tenant }

func (j *modelJob) end(now time.Duration, to state.JobState, result string) {
	j.state, j.result = to, result
	j.until = now + j.spec.Keep
	if to == state.JobDead {
		j.until = now + max(j.spec.Keep, state.KeepDeadJob)
	}
}

// restart takes all jobs from their workers. Whose turn it is is forgotten.
func (m *jobModel) restart() {
	for _, j := range m.jobs {
		j.late = min(j.late, m.now)
	}
	m.advance(0)
	clear(m.served)
}

// advance has time pass, one loss of a worker after another.
func (m *jobModel) advance(d time.Duration) {
	m.now += d
	for _, j := range m.jobs {
		if j.state != state.JobRunning || m.now < j.late {
			continue
		}
		j.lost = true
		switch {
		case j.spec.Attempts == 1:
			j.end(j.late, state.JobFailed, "")
		case j.attempt == j.spec.Attempts:
			j.end(j.late, state.JobDead, "")
		default:
			j.state, j.notBefore = state.JobQueued, j.late
		}
	}
	m.takeStock()
}

func (m *jobModel) ready(j *modelJob) bool { return j.state == state.JobQueued && m.now >= j.notBefore }

// takeStock notes who has begun to wait, and who no longer does.
func (m *jobModel) takeStock() {
	now := map[string]int{}
	for _, j := range m.jobs {
		if !m.ready(j) {
			continue
		}
		now[j.turn()] = m.claims
		if since, before := m.waiting[j.turn()]; before {
			now[j.turn()] = since
		}
	}
	m.waiting = now
}

func (m *jobModel) find(id string) *modelJob {
	i := slices.IndexFunc(m.jobs, func(j *modelJob) bool { return j.spec.ID == id })
	if i < 0 || m.jobs[i].state.Final() && m.now >= m.jobs[i].until {
		return nil
	}
	return m.jobs[i]
}

func (m *jobModel) owned(id, owner string) *modelJob {
	if j := m.find(id); j != nil && j.spec.Owner == owner {
		return j
	}
	return nil
}

func (m *jobModel) enqueue(spec state.JobSpec) (id string, existing bool, err error) {
	open := 0
	for _, j := range slices.Backward(m.jobs) {
		if spec.Key != "" && j.spec.Key == spec.Key && j.spec.Owner == spec.Owner && m.now < j.enqueued+state.KeepJobKey {
			if j.spec.Digest != spec.Digest {
				return "", false, state.ErrJobKey
			}
			return j.spec.ID, true, nil
		}
		if j.spec.Tenant == spec.Tenant && !j.state.Final() {
			open++
		}
	}
	if spec.Most > 0 && open >= spec.Most {
		return "", false, state.ErrManyJobs
	}
	m.jobs = append(m.jobs, &modelJob{spec: spec, state: state.JobQueued, enqueued: m.now})
	m.takeStock()
	return spec.ID, false, nil
}

// hasFor is the first of classes that has a job to be claimed, or empty.
func (m *jobModel) hasFor(classes []string) string {
	for _, class := range classes {
		for turn := range m.waiting {
			if strings.HasPrefix(turn, class+"/") {
				return class
			}
		}
	}
	return ""
}

// claim checks that a claim was of a job whose turn it was.
func (m *jobModel) claim(classes []string, c state.Claim) error {
	j := m.find(c.Job.ID)
	if j == nil || !m.ready(j) {
		return fmt.Errorf("%q was not to be claimed", c.Job.ID)
	}
	if class := m.hasFor(classes); class != j.spec.Class {
		return fmt.Errorf("a job of class %q was claimed before one of %q", j.spec.Class, class)
	}
	for _, earlier := range m.jobs[:slices.Index(m.jobs, j)] {
		if m.ready(earlier) && earlier.turn() == j.turn() {
			return fmt.Errorf("%q was claimed before %q of the same tenant", j.spec.ID, earlier.spec.ID)
		}
	}
	last, before := m.served[j.turn()]
	for turn, since := range m.waiting {
		if before && strings.HasPrefix(turn, j.spec.Class+"/") && turn != j.turn() && since < last && m.served[turn] < last {
			return fmt.Errorf("%s was served twice while %s waited", j.turn(), turn)
		}
	}
	if c.Fence <= j.fence {
		return fmt.Errorf("fence %d after %d", c.Fence, j.fence)
	}
	m.claims++
	m.served[j.turn()] = m.claims
	j.state, j.lost, j.fence, j.late = state.JobRunning, false, c.Fence, m.now+modelVisibility
	j.attempt++
	m.takeStock()
	return nil
}

// running is the job of a worker whose claim is still good, or nil.
func (m *jobModel) running(c state.Claim) *modelJob {
	if j := m.find(c.Job.ID); j != nil && j.state == state.JobRunning && j.fence == c.Fence {
		return j
	}
	return nil
}

func (m *jobModel) fail(j *modelJob, f state.Failure) state.JobState {
	switch {
	case f.Spare:
		j.state, j.notBefore = state.JobQueued, m.now+f.After
		j.attempt--
	case !f.Retry:
		j.end(m.now, state.JobFailed, string(f.Reason))
	case j.attempt >= j.spec.Attempts:
		j.end(m.now, state.JobDead, string(f.Reason))
	default:
		j.state, j.notBefore = state.JobQueued, m.now+f.After
	}
	m.takeStock()
	return j.state
}

func (m *jobModel) cancel(j *modelJob) state.JobState {
	if !j.state.Final() {
		j.end(m.now, state.JobCancelled, "")
	}
	m.takeStock()
	return j.state
}

func (m *jobModel) redrive(j *modelJob) {
	j.state, j.attempt, j.lost, j.result, j.notBefore = state.JobQueued, 0, false, "", m.now
	m.takeStock()
}

// shown is what an owner sees of a job, without times.
func (j *modelJob) shown() state.Job {
	out := state.Job{
		ID: j.spec.ID, Owner: j.spec.Owner, Tenant: j.spec.Tenant, Class: j.spec.Class,
		State: j.state, Attempt: j.attempt, Attempts: j.spec.Attempts, Lost: j.lost,
	}
	if j.result != "" {
		out.Result = []byte(j.result)
	}
	return out
}
