package engine

import (
	"net/http"
	"time"
)

// Record is a request and what the engine did for it. Its times are zero for what did not happen.
type Record struct {
	ID     string // X-Request-Id
	Path   string
	Model  string
	Header http.Header // as received
	Body   []byte      // with Config.Record

	Status  int   // of a request that was refused; 0: it was not
	Input   int64 // tokens of the prompt
	Cached  int64 // of them that were found
	Output  int64 // tokens that were sampled, whoever read them
	Aborted bool  // the client left, or the connection broke
	Settled bool  // the numbers are final
	Fault   Kind  // that befell it

	Arrived, Admitted, First, Ended time.Time // lined up; given a slot; first token; all over
}

// Entry is a request under way.
type Entry struct {
	Request   *Request
	engine    *Engine
	wake      chan struct{}
	sequences []*sequence
	want      int
	pieces    []string // the tokens, where a stop sequence ends them
	reason    string   // why it ends
	loading   time.Duration

	arrived time.Time
	refused int
	aborted bool
	settled bool
	fault   Kind
}

func (e *Entry) open() bool { return e.refused == 0 && !e.settled }

// token is the text of a token of the answer.
func (e *Entry) token(i int) string {
	if e.pieces != nil {
		return e.pieces[i]
	}
	return e.engine.config.Token(e.Request, i)
}

// cached is how many tokens of the prompt were found.
func (e *Entry) cached() int {
	if len(e.sequences) == 0 {
		return 0
	}
	return e.sequences[0].cached
}

// record copies what is known. The caller has locked.
func (e *Entry) record() Record {
	r := Record{
		ID: e.Request.ID, Path: e.Request.Path, Model: e.Request.Model, Header: e.Request.Header, Body: e.Request.Body,
		Status: e.refused, Cached: int64(e.cached()), Aborted: e.aborted, Settled: !e.open(), Fault: e.fault, Arrived: e.arrived,
	}
	if e.refused == 0 {
		r.Input = int64(len(e.Request.prompt))
	}
	for _, q := range e.sequences {
		r.Output += int64(q.produced)
		if r.First.IsZero() || !q.first.IsZero() && q.first.Before(r.First) {
			r.First = q.first
		}
		if r.Admitted.IsZero() || !q.admitted.IsZero() && q.admitted.Before(r.Admitted) {
			r.Admitted = q.admitted
		}
		if q.ended.After(r.Ended) {
			r.Ended = q.ended
		}
	}
	return r
}
