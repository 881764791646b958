package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// order is what was submitted, as it is kept: who wants what. The params follow it, as they were sent.
type order struct {
	Principal rpc.Principal  `json:"principal"`
	Remote    netip.AddrPort `json:"remote"`
	Endpoint  string         `json:"endpoint"`
	Deadline  time.Duration  `json:"deadline,omitempty"` // after the submission; 0 if the client did not say

	params []byte
}

// encode returns the text of an order: a line for who, then what.
func (o *order) encode() ([]byte, error) { return lined(o, o.params) }

// lined is the text of a value in one line, and what follows it.
func lined(v any, rest []byte) ([]byte, error) {
	head, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(head)+1+len(rest))
	return append(append(append(out, head...), '\n'), rest...), nil
}

// unlined reads what lined has written.
func unlined(text []byte, into any) (rest []byte, err error) {
	head, rest, ok := bytes.Cut(text, []byte{'\n'})
	if !ok {
		return nil, errors.New("the first line has no end")
	}
	return rest, json.Unmarshal(head, into)
}

func readOrder(text []byte) (o order, err error) {
	o.params, err = unlined(text, &o)
	return o, err
}

// call is the order as a call that begins now. Whoever stops it stops the attempt.
func (o *order) call(stop context.CancelCauseFunc) *rpc.Call {
	method, _ := infer.Lookup(infer.Invoke)
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), infer.Invoke, o.params), Method: method, Dialect: rpc.Infer, Received: time.Now(),
		Endpoint: o.Endpoint, Header: http.Header{}, Remote: o.Remote, Principal: o.Principal,
		Record: &rpc.Record{ID: rpc.NewRecordID()}, Stopper: rpc.StopFunc(stop),
	}
}

// deadline is when a job has to be done that was queued at a time.
func (o *order) deadline(queued time.Time, most time.Duration) time.Time {
	if o.Deadline > 0 {
		most = min(most, o.Deadline)
	}
	return queued.Add(most)
}

// outcome is what became of an attempt. Its first line is kept, and the result as the model gave it.
type outcome struct {
	Usage *rpc.Usage     `json:"usage,omitempty"`
	Err   *rpc.WireError `json:"error,omitempty"`

	result []byte
}

func (o *outcome) encode() ([]byte, error) { return lined(o, o.result) }

func readOutcome(text []byte) (o outcome, err error) {
	if len(text) == 0 {
		return outcome{}, nil
	}
	o.result, err = unlined(text, &o)
	return o, err
}
