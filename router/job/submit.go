package job

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

const (
	// class is which workers take jobs: all of them take all.
	class = "invoke"
	// writeTime is how long the engine may take to take a job, or its end.
	writeTime = 10 * time.Second
	// full is when a tenant may try again who has as many jobs as it may.
	full = 10 * time.Second
)

// submit takes a job. It is on disk when the call is answered.
func (j *Jobs) submit(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
	s, err := infer.ReadSubmission(c.Message)
	if err != nil {
		return nil, err
	}
	spec, err := j.spec(ctx, c, &s)
	if err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	id, existing, err := j.Store.Enqueue(bounded, spec)
	switch {
	case errors.Is(err, state.ErrJobKey):
		return nil, rpc.Errorf(rpc.Conflict, "idempotency_key was used with other params; use another one for another job")
	case errors.Is(err, state.ErrManyJobs):
		e := rpc.Errorf(rpc.TooManyInFlight, "there are %d jobs of yours that have not ended, and there may be no more", spec.Most)
		e.RetryAfter = full
		return nil, e
	case err != nil:
		return nil, errorOf(ctx, err)
	case existing:
		return j.repeated(ctx, c, id, spec.Owner)
	}
	return respond(c, acknowledgement(id, state.JobQueued))
}

// repeated answers who submits once more what was submitted.
func (j *Jobs) repeated(ctx context.Context, c *rpc.Call, id, owner string) (*rpc.Reply, error) {
	b, err := j.Store.Get(ctx, id, owner)
	if errors.Is(err, state.ErrNoJob) {
		return nil, rpc.Errorf(rpc.JobUnknown, "the job of this idempotency_key has ended and is no longer kept; use another one to have it done again")
	}
	if err != nil {
		return nil, errorOf(ctx, err)
	}
	return respond(c, acknowledgement(id, b.State))
}

func acknowledgement(id string, stands state.JobState) []byte {
	out := append(rpc.AppendString([]byte(`{"job_id":`), id), `,"state":"`...)
	return append(append(out, StateName(stands)...), `"}`...)
}

// spec is the job that a call wants.
func (j *Jobs) spec(ctx context.Context, c *rpc.Call, s *infer.Submission) (state.JobSpec, error) {
	cfg := j.config.Load()
	m := c.Message.Fork()
	m.Drop("idempotency_key")
	digest, err := digestOf(m.AppendParams(nil))
	if err != nil {
		return state.JobSpec{}, err
	}
	m.Drop("deadline")
	m.Set("stream", []byte("true")) // so that it is known what was used when a run is stopped, and that it goes on when it is not
	o := order{Principal: c.Principal, Remote: c.Remote, Endpoint: c.Endpoint, Deadline: s.Deadline, params: m.AppendParams(nil)}
	if len(o.params) > cfg.MaxParams {
		return state.JobSpec{}, rpc.Errorf(rpc.TooLarge, "the params have %d bytes; those of a job may have %d", len(o.params), cfg.MaxParams)
	}
	payload, err := o.encode()
	if err != nil {
		return state.JobSpec{}, internal(err)
	}
	now, err := j.Clock.Now(ctx)
	if err != nil {
		return state.JobSpec{}, errorOf(ctx, err)
	}
	return state.JobSpec{
		ID: newID(now), Owner: ownerOf(&c.Principal), Tenant: tenantOf(&c.Principal, c.Remote.Addr()), Class: class, Label: clipped(s.Model),
		Key: s.Key, Digest: digest, Payload: payload, Attempts: cfg.Attempts, Keep: cfg.Keep, Most: cfg.PerTenant,
	}, nil
}

// digestOf is the same for params that say the same: neither the order of their members nor the space between them counts.
func digestOf(params []byte) (string, error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(params))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", &rpc.Error{Code: rpc.InvalidParams, Message: "params cannot be read", Cause: err}
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "", internal(err)
	}
	sum := sha256.Sum256(text)
	return base64.RawStdEncoding.EncodeToString(sum[:]), nil
}
