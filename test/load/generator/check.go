package generator

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// Fault is a way in which a call can fail.
type Fault string

// The faults that are told apart.
const (
	Transport    Fault = "transport"     // no whole answer came
	Status       Fault = "status"        // the HTTP status is not 200
	Malformed    Fault = "malformed"     // the answer is no JSON-RPC response of the era
	ServerError  Fault = "error"         // the answer is an error, or a result that says so
	WrongID      Fault = "wrong id"      // the answer has another id, by its bytes
	WrongNonce   Fault = "wrong nonce"   // the answer is that of another call
	WrongPayload Fault = "wrong payload" // the text is not the one that was sent
	Duplicate    Fault = "duplicate"     // more came than one answer
)

// failure is one failed call.
type failure struct {
	fault  Fault
	detail string
}

func (f *failure) Error() string { return string(f.fault) + ": " + f.detail }

func failed(fault Fault, format string, args ...any) *failure {
	return &failure{fault: fault, detail: fmt.Sprintf(format, args...)}
}

// expectation is what the answer to one call must say.
type expectation struct {
	era     Era
	id      []byte // as JSON
	nonce   []byte // inside of a JSON string
	payload []byte // inside of a JSON string
}

// check checks a whole answer: its status, that it holds one response and nothing else but notifications, and that one.
func (e *expectation) check(r *response) *failure {
	switch {
	case r.status != 200:
		return failed(Status, "%d %.200q", r.status, r.body)
	case r.events:
		return e.checkEvents(r.body)
	default:
		return e.checkResponse(r.body)
	}
}

// checkEvents checks a whole event stream.
func (e *expectation) checkEvents(stream []byte) *failure {
	answers := 0
	for len(stream) > 0 {
		var message []byte
		if message, stream = nextEvent(stream); len(message) == 0 { // a heartbeat, or a priming event (SEP-1699)
			continue
		}
		if method := rawjson.Member(message, "method"); method != nil {
			if rawjson.Member(message, "id") != nil {
				return failed(Malformed, "an unexpected question: %.200q", message)
			}
			continue
		}
		if answers++; answers > 1 {
			return failed(Duplicate, "a second answer in one stream: %.200q", message)
		}
		if f := e.checkResponse(message); f != nil {
			return f
		}
	}
	if answers == 0 {
		return failed(Malformed, "the stream ended without an answer")
	}
	return nil
}

// nextEvent returns the data of the first event of a stream, nil when it has none, and the rest of the stream. Lines of
// data are joined by line feeds.
func nextEvent(stream []byte) (data, rest []byte) {
	rest = stream
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 {
			return data, rest
		}
		value, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			continue
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		if data == nil {
			data = slices.Clip(value)
			continue
		}
		data = append(append(data, '\n'), value...)
	}
	return nil, nil // an event that the end cuts off is none
}

// checkResponse checks one JSON-RPC response.
func (e *expectation) checkResponse(message []byte) *failure {
	var id, version, result, wireError []byte
	err := rawjson.Object(message, func(name, value []byte) bool {
		switch string(name) {
		case "jsonrpc":
			version = value
		case "id":
			id = value
		case "result":
			result = value
		case "error":
			wireError = value
		}
		return true
	})
	switch {
	case err != nil || string(version) != `"2.0"`:
		return failed(Malformed, "no JSON-RPC message: %.200q", message)
	case !bytes.Equal(id, e.id):
		return failed(WrongID, "%.60q instead of %q", id, e.id)
	case wireError != nil:
		return failed(ServerError, "%.200q", wireError)
	case result == nil:
		return failed(Malformed, "neither result nor error: %.200q", message)
	}
	return e.checkResult(result)
}

// checkResult checks the result of the tool.
func (e *expectation) checkResult(result []byte) *failure {
	var content, kind, isError []byte
	err := rawjson.Object(result, func(name, value []byte) bool {
		switch string(name) {
		case "content":
			content = value
		case "resultType":
			kind = value
		case "isError":
			isError = value
		}
		return true
	})
	switch {
	case err != nil:
		return failed(Malformed, "the result is no object: %.200q", result)
	case string(isError) == "true":
		return failed(ServerError, "%.200q", result)
	case e.era == Modern && string(kind) != `"complete"`: // MCP 2026-07-28: every result says its type
		return failed(Malformed, "resultType is %.60q", kind)
	}
	return e.checkContent(content)
}

// checkContent checks that the first two text blocks are the nonce and the payload.
func (e *expectation) checkContent(content []byte) *failure {
	var texts [2][]byte
	blocks := 0
	err := rawjson.Array(content, func(block []byte) bool {
		if blocks < len(texts) {
			texts[blocks] = rawjson.Member(block, "text")
		}
		blocks++
		return true
	})
	switch {
	case err != nil || blocks != len(texts):
		return failed(Malformed, "not two blocks of content: %.200q", content)
	case !same(texts[0], e.nonce):
		return failed(WrongNonce, "%.60q instead of %q", texts[0], e.nonce)
	case !same(texts[1], e.payload):
		return failed(WrongPayload, "%d bytes that differ from the %d sent", max(len(texts[1])-2, 0), len(e.payload))
	}
	return nil
}

// same compares a JSON string with the inside of another, by bytes first and by meaning where those differ: a server may
// write a text with other escapes.
func same(value, inside []byte) bool {
	if len(value) >= 2 && bytes.Equal(value[1:len(value)-1], inside) {
		return true
	}
	got, err := rawjson.Text(value)
	if err != nil {
		return false
	}
	want, err := rawjson.Text(append(append([]byte{'"'}, inside...), '"'))
	return err == nil && got == want
}
