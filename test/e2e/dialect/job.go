package dialect

import (
	"slices"
	"time"
)

// standingJob is the result of a status of a job.
type standingJob struct {
	ID       string `json:"job_id"`
	State    string
	Created  time.Time `json:"created_at"`
	Finished time.Time `json:"finished_at"`
	Attempt  int
	Result   *completion
	Error    *Failure
	Usage    *usage
}

// terminal are the states that do not change.
var terminal = []string{"succeeded", "failed", "cancelled", "dead"}

// submit submits a job.
func (c *conversation) submit(params map[string]any) string {
	c.t.Helper()
	var r standingJob
	if c.must("invoke_async", params, &r); r.ID == "" || !slices.Contains([]string{"queued", "running", "succeeded"}, r.State) {
		c.t.Fatalf("invoke_async: %+v", r)
	}
	return r.ID
}

// await asks for a job, time and again, until it has ended.
func (c *conversation) await(id string) standingJob {
	c.t.Helper()
	const polls = 6
	var r standingJob
	for range polls {
		if c.must("status", map[string]any{"job_id": id, "wait": 10}, &r); slices.Contains(terminal, r.State) {
			return r
		}
	}
	c.t.Fatalf("job: %+v", r)
	return r
}

// job submits a job, waits for its result, and asks for it once more over another connection.
func (c *conversation) job(session string) {
	c.t.Helper()
	key := "key of " + session
	params := c.request("Say something.", map[string]any{"max_tokens": 8, "idempotency_key": key})
	id := c.submit(params)
	if again := c.submit(params); again != id {
		c.t.Errorf("the same job, submitted again, is %s and not %s", again, id)
	}
	c.refused("invoke_async", c.request("Say something else.", map[string]any{"idempotency_key": key}), -32012, "conflict")
	r := c.await(id)
	if r.State != "succeeded" || r.Attempt != 1 || r.Result == nil || r.Created.IsZero() || r.Finished.Before(r.Created) {
		c.t.Fatalf("job: %+v %v", r, r.Error)
	}
	c.complete("job", r.Result)
	c.reconnect(session)
	if again := c.await(id); again.State != "succeeded" || *again.Result.Usage != *r.Result.Usage || again.Result.Output != r.Result.Output {
		c.t.Errorf("job, asked for again: %+v", again)
	}
	c.refused("status", map[string]any{"job_id": id + "x"}, -32010, "unknown_job")
	c.refused("cancel", map[string]any{"job_id": id + "x"}, -32010, "unknown_job")
}

// longJob submits a job without an end, whose long poll ends before it does, and cancels it.
func (c *conversation) longJob() {
	c.t.Helper()
	id := c.submit(c.request("Go on and on.", c.target.Endless))
	var r standingJob
	if c.must("status", map[string]any{"job_id": id, "wait": 1}, &r); slices.Contains(terminal, r.State) {
		c.t.Errorf("a job without an end: %+v %v", r, r.Error)
	}
	var cancelled struct {
		Cancelled bool
		State     string
	}
	if c.must("cancel", map[string]any{"job_id": id}, &cancelled); !cancelled.Cancelled || cancelled.State != "cancelled" {
		c.t.Errorf("cancel of a job: %+v", cancelled)
	}
	if r := c.await(id); r.State != "cancelled" {
		c.t.Errorf("a cancelled job: %+v", r)
	}
	c.idle("after a job was cancelled")
}

// lateJob submits a job that takes longer than it may.
func (c *conversation) lateJob() {
	c.t.Helper()
	params := c.request("Go on and on.", c.target.Endless)
	params["deadline"] = 1
	r := c.await(c.submit(params))
	if r.State == "succeeded" || r.Error == nil || r.Error.Code != -32008 {
		c.t.Errorf("a job past its deadline: %+v %v", r, r.Error)
	}
	c.idle("after a job was late")
}
