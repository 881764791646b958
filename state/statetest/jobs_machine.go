package statetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headgate/headgate/state"
)

// JobsMachine does random operations with an engine and compares every answer with
// that of a model.
func JobsMachine(t *testing.T, open Open) {
	t.Helper()
	rapid.Check(t, func(r *rapid.T) {
		script := rapid.SliceOfN(rapid.Custom(drawJobOp), 1, 60).Draw(r, "script")
		var err error
		open(t, func(t *testing.T, s *Subject) {
			t.Helper()
			err = playJobs(t.Context(), s, script)
		})
		if err != nil {
			r.Fatal(err)
		}
	})
}

// jobOp is one operation, drawn before it is known what it meets.
type jobOp struct {
	Do       string
	Owner    string
	Tenant   string
	Class    string
	Key      string
	Digest   string
	Most     int
	Attempts int
	Which    int // of the last jobs or claims
	Failure  state.Failure
	Pass     time.Duration
}

func drawJobOp(r *rapid.T) jobOp {
	of := func(name string, values ...string) string { return rapid.SampledFrom(values).Draw(r, name) }
	seconds := func(name string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(r, name)) * time.Second
	}
	return jobOp{
		Do: of("do", "enqueue", "enqueue", "enqueue", "claim", "claim", "claim", "complete", "fail", "fail",
			"heartbeat", "cancel", "get", "redrive", "advance", "advance", "restart"),
		Owner:    of("owner", "ann", "ann", "ann", "bob"),
		Tenant:   of("tenant", "a", "b", "c"),
		Class:    of("class", "default", "default", "batch"),
		Key:      of("key", "", "", "", "k", "l"),
		Digest:   of("digest", "this", "this", "that"),
		Most:     rapid.SampledFrom([]int{0, 0, 2, 5}).Draw(r, "tenant's most"),
		Attempts: rapid.IntRange(1, 3).Draw(r, "attempts"),
		Which:    rapid.OneOf(rapid.Just(0), rapid.IntRange(0, 5)).Draw(r, "which"),
		Failure:  state.Failure{Reason: []byte(of("reason", "busy", "broken")), Retry: rapid.Bool().Draw(r, "retry"), Spare: rapid.IntRange(0, 3).Draw(r, "spare") == 0, After: seconds("after", 40)},
		Pass:     seconds("pass", rapid.SampledFrom([]int{20, 20, 60, 4000, 100_000}).Draw(r, "most")),
	}
}

// jobPlayer does the same with an engine and the model.
type jobPlayer struct {
	s      *Subject
	m      *jobModel
	claims []state.Claim
	made   int
}

func playJobs(ctx context.Context, s *Subject, script []jobOp) error {
	p := &jobPlayer{s: s, m: newJobModel()}
	for i, op := range script {
		if err := p.play(ctx, op); err != nil {
			return fmt.Errorf("operation %d, %s: %w", i, op.Do, err)
		}
	}
	for _, j := range p.m.jobs {
		if err := p.see(ctx, j.spec.ID, j.spec.Owner); err != nil {
			return fmt.Errorf("in the end: %w", err)
		}
	}
	return nil
}

func (p *jobPlayer) play(ctx context.Context, op jobOp) error {
	switch op.Do {
	case "advance":
		p.s.Advance(op.Pass)
		p.m.advance(op.Pass)
		return nil
	case "restart":
		if p.s.Restart != nil {
			p.s.Restart()
			p.m.restart()
		}
		return nil
	case "enqueue":
		return p.enqueue(ctx, op)
	case "claim":
		return p.claim(ctx, op)
	case "complete", "fail", "heartbeat":
		return p.work(ctx, op)
	case "cancel":
		return p.cancel(ctx, op)
	case "redrive":
		return p.redrive(ctx, op)
	default:
		return p.see(ctx, p.id(op), op.Owner)
	}
}

// id is that of one of the last jobs, or of none.
func (p *jobPlayer) id(op jobOp) string { return fmt.Sprint("job ", p.made-op.Which) }

func (p *jobPlayer) enqueue(ctx context.Context, op jobOp) error {
	p.made++
	id := fmt.Sprint("job ", p.made)
	spec := state.JobSpec{
		ID: id, Owner: op.Owner, Tenant: op.Tenant, Class: op.Class, Key: op.Key,
		Payload: []byte("do " + id), Attempts: op.Attempts, Keep: time.Hour, Digest: op.Digest, Most: op.Most,
	}
	got, existing, err := p.s.Jobs.Enqueue(ctx, spec)
	want, known, refused := p.m.enqueue(spec)
	if refused != nil {
		return expect(err, refused)
	}
	if got != want || existing != known || err != nil {
		return fmt.Errorf("%q, %v, %w, want %q, %v", got, existing, err, want, known)
	}
	return nil
}

func (p *jobPlayer) claim(ctx context.Context, op jobOp) error {
	classes := []string{"default", "batch"}
	if op.Class == "batch" {
		classes = classes[1:]
	}
	if p.m.hasFor(classes) == "" {
		return nil // it would wait
	}
	c, err := p.s.Jobs.Claim(ctx, classes, modelVisibility)
	if err != nil {
		return err
	}
	if string(c.Job.Payload) != "do "+c.Job.ID {
		return fmt.Errorf("job %q with payload %q", c.Job.ID, c.Job.Payload)
	}
	p.claims = append(p.claims, c)
	return p.m.claim(classes, c)
}

func (p *jobPlayer) work(ctx context.Context, op jobOp) error {
	if op.Which >= len(p.claims) {
		return nil
	}
	c := p.claims[len(p.claims)-1-op.Which]
	j := p.m.running(c)
	var err error
	switch op.Do {
	case "complete":
		if err = p.s.Jobs.Complete(ctx, c.Job.ID, c.Fence, []byte("done")); j != nil {
			j.end(p.m.now, state.JobSucceeded, "done")
		}
	case "heartbeat":
		if err = p.s.Jobs.Heartbeat(ctx, c.Job.ID, c.Fence, 2*modelVisibility); j != nil {
			j.late = p.m.now + 2*modelVisibility
		}
	default:
		var became, want state.JobState
		if became, err = p.s.Jobs.Fail(ctx, c.Job.ID, c.Fence, op.Failure); j != nil {
			want = p.m.fail(j, op.Failure)
		}
		if became != want {
			return fmt.Errorf("it became %v, want %v: %w", became, want, err)
		}
	}
	if j == nil {
		return expect(err, state.ErrFenced)
	}
	return err
}

func (p *jobPlayer) cancel(ctx context.Context, op jobOp) error {
	got, err := p.s.Jobs.Cancel(ctx, p.id(op), op.Owner)
	j := p.m.owned(p.id(op), op.Owner)
	if j == nil {
		return expect(err, state.ErrNoJob)
	}
	if want := p.m.cancel(j); got != want || err != nil {
		return fmt.Errorf("%v, %w, want %v", got, err, want)
	}
	return nil
}

func (p *jobPlayer) redrive(ctx context.Context, op jobOp) error {
	err := p.s.Jobs.Redrive(ctx, p.id(op))
	switch j := p.m.find(p.id(op)); {
	case j == nil:
		return expect(err, state.ErrNoJob)
	case j.state != state.JobDead:
		return expect(err, state.ErrJobState)
	default:
		p.m.redrive(j)
		return err
	}
}

// see compares what an owner sees of a job.
func (p *jobPlayer) see(ctx context.Context, id, owner string) error {
	got, err := p.s.Jobs.Get(ctx, id, owner)
	j := p.m.owned(id, owner)
	if j == nil {
		return expect(err, state.ErrNoJob)
	}
	if err != nil {
		return err
	}
	got.Created, got.Started, got.Finished, got.NotBefore, got.Queued = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	return differ("job", j.shown(), got)
}

func expect(err, want error) error {
	if !errors.Is(err, want) {
		return fmt.Errorf("%w, want: %w", err, want)
	}
	return nil
}
