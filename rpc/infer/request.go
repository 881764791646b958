package infer

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Introduction is what the gateway reads of the params of initialize.
type Introduction struct {
	Version      rpc.Revision    // that the client would like; empty if it did not say
	Info         json.RawMessage // who the client is; nil if it did not say
	Capabilities json.RawMessage // nil if it did not say
	History      bool            // what is said is to be remembered
	TTL          time.Duration   // for how long at most when nothing more is said; 0 for no wish
}

// ReadIntroduction reads the params of initialize.
func ReadIntroduction(m *rpc.Message) (Introduction, error) {
	p := paramsOf(m)
	out := Introduction{
		Version: rpc.Revision(p.text("protocolVersion", maxVersion)), Info: p.object("clientInfo"), Capabilities: p.object("capabilities"),
	}
	if err := out.session(p.object("session")); err != nil && p.err == nil {
		p.err = err
	}
	return out, p.err
}

// session reads what the client wants of its session.
func (i *Introduction) session(text json.RawMessage) error {
	if text == nil {
		return nil
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return rpc.Errorf(rpc.ParseError, "params.session: %w", err)
	}
	p := params{of: o, path: "params.session."}
	i.History = p.flag("history", false)
	i.TTL = p.lasting("ttl", maxTime)
	return p.err
}

// Inquiry is what status asks for.
type Inquiry struct {
	Job  string        // empty for the gateway itself
	Wait time.Duration // for the end of the job
}

// ReadInquiry reads the params of status.
func ReadInquiry(m *rpc.Message) (Inquiry, error) {
	p := paramsOf(m)
	out := Inquiry{Job: p.text("job_id", maxJobID), Wait: p.seconds("wait", MaxWait)}
	if _, said := p.get("wait"); said && out.Job == "" {
		p.fail("wait", "left out where there is no job_id")
	}
	return out, p.err
}

// Cancellation is what cancel is about: a request or a job.
type Cancellation struct {
	ID  rpc.ID // zero where it is about a job
	Job string // empty where it is about a request
}

// ReadCancellation reads the params of cancel.
func ReadCancellation(m *rpc.Message) (out Cancellation, err error) {
	p := paramsOf(m)
	out.Job = p.text("job_id", maxJobID)
	id, said := p.get("id")
	if said {
		if out.ID, err = rpc.ParseID(id); err != nil || !out.ID.IsWhole() {
			p.fail("id", "a string or a whole number")
		}
	}
	if said == (out.Job != "") {
		p.fail("id", "there, or else params.job_id, and not both of them")
	}
	return out, p.err
}

// LogQuery is what logs asks for.
type LogQuery struct {
	Level     string // the least severe that is wanted: debug, info, warn or error
	Follow    bool   // what comes from now on is wanted too
	Tail      int    // how many of the last ones
	RequestID string // that entries are to be about; empty for all
}

// ReadLogs reads the params of logs.
func ReadLogs(m *rpc.Message) (LogQuery, error) {
	p := paramsOf(m)
	out := LogQuery{
		Level: "info", Follow: p.flag("follow", true), Tail: int(p.count("tail", 0, maxTail)), RequestID: p.text("request_id", maxRequestID),
	}
	if _, said := p.get("level"); said {
		out.Level = p.text("level", maxVersion)
		if !slices.Contains([]string{"debug", "info", "warn", "error"}, out.Level) {
			p.fail("level", "debug, info, warn or error")
		}
	}
	return out, p.err
}

// ReadNonce reads the params of heartbeat and ping: a JSON string or number that is sent back; nil for none.
func ReadNonce(m *rpc.Message) (json.RawMessage, error) {
	p := paramsOf(m)
	v, ok := p.get("nonce")
	if !ok {
		return nil, nil
	}
	if c := v[0]; len(v) > maxNonce || c != '"' && c != '-' && (c < '0' || c > '9') {
		p.fail("nonce", "a string or a number of at most 1024 bytes")
	}
	return v, p.err
}
