package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// ending is how an attempt ended.
type ending struct {
	outcome
	failure  *rpc.Error // why there is no result; nil if there is one, or a server said in its own words why not
	asked    bool       // a backend was
	deadline time.Time  // of the job; zero if that is not known
	text     []byte     // the outcome, as it is kept
}

// run runs a job once.
func (j *Jobs) run(ctx context.Context, a *attempt) (end ending) {
	request := a.claim.Job.ID
	defer func() {
		if p := recover(); p != nil {
			end.failure = internal(fmt.Errorf("panic: %v", p))
		}
		j.conclude(a, request, &end)
	}()
	o, err := readOrder(a.claim.Job.Payload)
	if err != nil {
		end.failure = internal(fmt.Errorf("the job cannot be read: %w", err))
		return end
	}
	now, err := j.Clock.Now(ctx)
	if err != nil {
		end.failure = rpc.AsError(errorOf(ctx, err))
		return end
	}
	end.deadline = o.deadline(a.claim.Job.Queued, j.config.Load().MaxAge)
	if end.failure = o.overdue(now, end.deadline); end.failure != nil {
		return end
	}
	ctx, cancel := context.WithTimeoutCause(ctx, end.deadline.Sub(now), errDeadline)
	defer cancel()
	c := o.call(a.stop)
	request = c.Record.ID
	if err = j.answer(ctx, c, &end.outcome); err != nil {
		end.failure = rpc.AsError(err)
	}
	end.asked = c.Record.Attempts() > 0
	if usage := c.Record.Usage(); usage != (rpc.Usage{}) {
		end.Usage = &usage
	}
	return end
}

func internal(cause error) *rpc.Error {
	return &rpc.Error{Code: rpc.Internal, Message: "internal error", Cause: cause}
}

// errDeadline is why a job is stopped that took too long.
var errDeadline = rpc.Errorf(rpc.UpstreamTimeout, "the job has not ended before its deadline")

// overdue says why what was submitted is not run any more.
func (o *order) overdue(now, deadline time.Time) *rpc.Error {
	switch {
	case !now.Before(deadline):
		return errDeadline
	case !o.Principal.Expires.IsZero() && !now.Before(o.Principal.Expires):
		return rpc.Errorf(rpc.Unauthenticated, "the credential that the job was submitted with expired before its turn came")
	}
	return nil
}

// answer has a call answered, and keeps what came. When it returns it is known what was used.
func (j *Jobs) answer(ctx context.Context, c *rpc.Call, into *outcome) error {
	reply, err := j.Run.Handle(ctx, c)
	if err == nil {
		err = j.read(reply, c.Target.Canonical, into)
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// chunkOverhead is how much larger the chunks of an answer are than the answer, at most, in any case that is worth keeping.
const chunkOverhead = 64

// read pulls a reply to its response, makes one answer of its chunks, and closes it.
func (j *Jobs) read(reply *rpc.Reply, model string, into *outcome) error {
	defer func() { _ = reply.Close() }() // the answer is there, or the reason why not; also where it panics
	var answer infer.Answer
	for {
		m, err := reply.Next()
		switch {
		case rpc.IsEnd(err):
			return rpc.Errorf(rpc.UpstreamFailed, "the model gave no answer")
		case err != nil:
			return err
		case m.Method == infer.Chunk:
			if err := answer.Add(m.Params); err != nil {
				return rpc.Errorf(rpc.UpstreamFailed, "a chunk of the answer cannot be read: %w", err)
			}
			if n := answer.Size(); n > chunkOverhead*j.config.Load().MaxResult {
				return j.tooLarge(n)
			}
		case !m.IsResponse():
		case m.Err != nil:
			into.Err = &rpc.WireError{Code: m.Err.Code, Message: m.Err.Message, Data: append([]byte(nil), m.Err.Data...)}
			return nil
		default:
			into.result = answer.Response(m, model).AppendResult(nil)
			return nil
		}
	}
}

// errLarge is in the chain of the error for an answer that is not kept.
var errLarge = errors.New("an answer larger than max_result")

func (j *Jobs) tooLarge(n int) *rpc.Error {
	most := j.config.Load().MaxResult
	e := rpc.Errorf(rpc.UpstreamFailed, "the answer has %d bytes, and that of a job may have %d; ask for fewer tokens, or by invoke", n, most)
	e.Cause = errLarge
	return e
}

// maxFailure bounds what is kept of a failure, in bytes.
const maxFailure = 64 << 10

// conclude writes the outcome as it is kept, within its bounds.
func (j *Jobs) conclude(a *attempt, request string, end *ending) {
	text, err := end.encode()
	if end.failure == nil && end.Err == nil {
		switch {
		case err != nil:
			end.failure = internal(err)
		case len(text) > j.config.Load().MaxResult:
			end.failure = j.tooLarge(len(text))
		default:
			end.text = text
			return
		}
	}
	if end.result = nil; end.failure != nil {
		end.Err = infer.Failure(end.failure, request, a.claim.Job.Label)
	}
	if len(end.Err.Message) > maxFailure || len(end.Err.Data) > maxFailure {
		end.Err = &rpc.WireError{Code: end.Err.Code, Message: rpc.Excerpt(end.Err.Message)}
	}
	if end.text, err = end.encode(); err != nil {
		end.text = nil // a server's data that is no JSON
	}
}
