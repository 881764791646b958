package infer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// FuzzParams holds the readers to the schemas: what one of them refuses as no params of the method the other refuses too.
func FuzzParams(f *testing.F) {
	for _, params := range []string{
		`{}`, `{"model":"m","prompt":"p"}`, `{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"max_tokens":5}`,
		`{"model":"m","prompt":"p","idempotency_key":"k","deadline":1.5}`, `{"job_id":"j","wait":30}`, `{"id":1}`, `{"id":"a","job_id":null}`,
		`{"level":"warn","follow":false,"tail":3,"request_id":"r"}`, `{"nonce":1e3}`, `{"session":{"history":true,"ttl":60},"clientInfo":{}}`,
		`{"model":"m","prompt":"p","stop":["a","b"],"temperature":0.0}`, `{"model":"\ud800","prompt":"p"}`, `{"max_tokens":1e1}`, `{"tail":1.0}`, `{"temperature":1e999}`,
	} {
		for i := range infer.Methods() {
			f.Add(i, []byte(params))
		}
	}
	f.Fuzz(func(t *testing.T, which int, params []byte) {
		all := infer.Methods()
		method := all[max(which, 0)%len(all)]
		m, err := rpc.Parse(fmt.Appendf(nil, `{"id":1,"method":%q,"params":%s}`, method, params), rpc.Limits{Dialect: rpc.Infer})
		if err != nil || m.Params == nil {
			return
		}
		got := read(m)
		if got != nil {
			if code := rpc.CodeOf(got); code != rpc.InvalidParams && code != rpc.ParseError {
				t.Fatalf("%s: the error is %v", params, got)
			}
			return
		}
		for _, name := range []string{"model", "prompt", "messages", "job_id", "id", "idempotency_key", "nonce"} {
			if v, ok := m.Get(name); ok && !json.Valid(v) {
				t.Fatalf("%s is %s", name, v)
			}
		}
		if again := read(m.Clone()); again != nil {
			t.Fatalf("a clone of %s is refused: %v", params, again)
		}
	})
}

// FuzzReadPart holds the reader of answers to their writer.
func FuzzReadPart(f *testing.F) {
	for _, text := range []string{
		`{"id":1,"result":{"chunk":{"text":"a"}}}`, `{"jsonrpc":"2.0","id":"x","result":{"usage":{"input_tokens":1,"output_tokens":2},"finish_reason":"stop"}}`,
		`{"id":1,"done":true}`, `{"id":null,"error":{"code":-32700,"message":"m","data":{"reason":"parse_error"}}}`, `{"id":1,"result":{"entry":{"level":"info"}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := infer.ReadPart(text)
		if err != nil {
			return
		}
		var out []byte
		switch {
		case p.Done:
			out = infer.AppendDone(nil, p.ID, false)
		case p.Chunk != nil:
			out = infer.AppendPart(nil, p.ID, false, infer.NewChunk(p.Chunk))
		case p.Entry != nil:
			out = infer.AppendPart(nil, p.ID, false, infer.NewEntry(p.Entry))
		case p.Err != nil:
			out = infer.AppendPart(nil, p.ID, false, rpc.NewError(p.ID, p.Err))
		case !p.ID.IsZero():
			out = infer.AppendPart(nil, p.ID, false, rpc.NewResult(p.ID, p.Result))
		default:
			return
		}
		again, err := infer.ReadPart(out)
		if err != nil && p.Chunk == nil && p.Entry == nil { // in which names may stand twice
			t.Fatalf("%s was written as %s: %v", text, out, err)
		}
		if err == nil && (again.ID != p.ID || again.Done != p.Done || !bytes.Equal(again.Chunk, p.Chunk) || !bytes.Equal(again.Result, p.Result)) {
			t.Fatalf("%s was written as %s", text, out)
		}
	})
}

// FuzzAnswer has chunks put together: whatever comes is JSON, or refused.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"text":"a"}`), []byte(`{"text":"b","tool_calls":[{"index":0,"function":{"arguments":"{"}}]}`), []byte(`{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}`))
	f.Add([]byte(`{"text":"\ud83d"}`), []byte(`{"text":"\ude00","n":1.0}`), []byte(`{"index":1,"text":"x"}`))
	f.Add([]byte(`{"a":[1,[2]]}`), []byte(`{"a":[{"index":0}]}`), []byte(`{"a":null}`))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var answer infer.Answer
		for _, chunk := range [][]byte{a, b, c} {
			m, err := rpc.Parse(fmt.Appendf(nil, `{"method":"chunk","params":%s}`, chunk), rpc.Limits{Dialect: rpc.Infer})
			if err != nil || m.Params == nil || answer.Add(m.Params) != nil {
				return
			}
		}
		out := answer.Response(rpc.NewResult(rpc.NumberID(1), []byte(`{"usage":{}}`)), "m")
		if out.Err != nil || !json.Valid(out.Result) {
			t.Fatalf("%s %s %s make %s, %v", a, b, c, out.Result, out.Err)
		}
	})
}

// FuzzReadUsage reads what backends may say.
func FuzzReadUsage(f *testing.F) {
	f.Add([]byte(`{"input_tokens":1,"output_tokens":2,"cached_tokens":3,"estimated":true}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) {
			return
		}
		if u, ok := infer.ReadUsage(bytes.TrimSpace(text)); ok {
			if again, ok := infer.ReadUsage(infer.AppendUsage(nil, u)); !ok || again != u {
				t.Fatalf("%s is %+v, and again %+v", text, u, again)
			}
		}
	})
}
