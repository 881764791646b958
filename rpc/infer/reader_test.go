package infer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

func request(t testing.TB, method, params string) *rpc.Message {
	t.Helper()
	m, err := rpc.Parse(fmt.Appendf(nil, `{"id":1,"method":%q,"params":%s}`, method, params), rpc.Limits{Dialect: rpc.Infer})
	if err != nil {
		t.Fatalf("%s: %v", params, err)
	}
	return m
}

// read has the reader of a method read its params.
func read(m *rpc.Message) (err error) {
	switch m.Method {
	case infer.Initialize:
		_, err = infer.ReadIntroduction(m)
	case infer.Invoke:
		_, err = infer.ReadInvocation(m)
	case infer.InvokeAsync:
		_, err = infer.ReadSubmission(m)
	case infer.Status:
		_, err = infer.ReadInquiry(m)
	case infer.Cancel:
		_, err = infer.ReadCancellation(m)
	case infer.Logs:
		_, err = infer.ReadLogs(m)
	default:
		_, err = infer.ReadNonce(m)
	}
	return err
}

func schema(t testing.TB, method string) *jsonschema.Schema {
	t.Helper()
	text, ok := infer.Schema(method)
	if !ok {
		t.Fatalf("%s has no schema", method)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(method, doc); err != nil {
		t.Fatal(err)
	}
	out, err := c.Compile(method)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReadersAgreeWithSchemas draws params out of what the schemas tell apart, and has both judge.
func TestReadersAgreeWithSchemas(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("x", 256) + `"`
	texts := []string{`"a"`, `""`, long, long[:257] + `x"`, `7`, `null`, `{}`}
	objects := []string{`{}`, `{"a":1}`, `null`, `[]`, `"a"`}
	numbers := []string{`0`, `1`, `0.5`, `30`, `31`, `-1`, `"1"`, `null`, `31536001`, `9999`, `10001`, `1099511627777`}
	flags := []string{`true`, `false`, `null`, `0`, `"true"`}
	invoke := map[string][]string{
		"model": texts, "prompt": {`"p"`, `""`, `null`, `["p"]`, `7`}, "messages": {`[{}]`, `[{"role":"user"},{}]`, `[]`, `["x"]`, `null`, `{}`},
		"stream": flags, "max_tokens": numbers, "temperature": numbers, "stop": {`"x"`, `["a","b"]`, `[]`, `[1]`, `null`, `{}`}, "other": {`[{"a":null}]`},
	}
	async := map[string][]string{"idempotency_key": texts, "deadline": numbers}
	maps.Copy(async, invoke)
	domain := map[string]map[string][]string{
		infer.Initialize: {"protocolVersion": {`"1"`, `""`, `7`, `null`}, "clientInfo": objects, "capabilities": objects, "session": {
			`{}`, `null`, `[]`, `{"history":true}`, `{"history":1}`, `{"ttl":0}`, `{"ttl":-1}`, `{"ttl":0.5,"history":null}`, `{"ttl":null}`, `{"ttl":"1"}`, `{"ttl":31536001}`,
		}},
		infer.Invoke: invoke, infer.InvokeAsync: async,
		infer.Status:    {"job_id": texts, "wait": numbers},
		infer.Cancel:    {"id": {`1`, `"a"`, `""`, `null`, `1.5`, `{}`, `-7`}, "job_id": texts},
		infer.Logs:      {"level": {`"debug"`, `"info"`, `"INFO"`, `""`, `null`, `7`}, "follow": flags, "tail": numbers, "request_id": texts},
		infer.Heartbeat: {"nonce": {`"a"`, `""`, `1`, `-1.5e3`, `null`, `{}`, `true`}},
		infer.Ping:      {"nonce": {`"a"`, `[]`}},
	}
	for _, method := range infer.Methods() {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			judge := schema(t, method)
			good := 0
			rapid.Check(t, func(r *rapid.T) {
				params := draw(r, domain[method])
				value, err := jsonschema.UnmarshalJSON(strings.NewReader(params))
				if err != nil {
					r.Fatal(err)
				}
				want, got := judge.Validate(value), read(request(t, method, params))
				if (want == nil) != (got == nil) {
					r.Fatalf("%s: the reader says %v, the schema %v", params, got, want)
				}
				if got == nil {
					good++
				} else if rpc.CodeOf(got) != rpc.InvalidParams {
					r.Fatalf("%s: the error is %v", params, got)
				}
			})
			if good == 0 {
				t.Error("nothing that was drawn is right")
			}
		})
	}
}

// draw draws an object whose members are mostly right.
func draw(r *rapid.T, domain map[string][]string) string {
	var out []string
	names := make([]string, 0, len(domain))
	for name := range domain {
		names = append(names, name)
	}
	for _, name := range sorted(names) {
		values := domain[name]
		if name != "model" && rapid.IntRange(0, 2).Draw(r, name+" is there") > 0 {
			continue
		}
		i := 0
		if rapid.IntRange(0, 3).Draw(r, name+" is odd") == 0 {
			i = rapid.IntRange(0, len(values)-1).Draw(r, name)
		}
		out = append(out, fmt.Sprintf("%q:%s", name, values[i]))
	}
	return "{" + strings.Join(out, ",") + "}"
}

func sorted(names []string) []string {
	out := append([]string(nil), names...)
	for i := range out {
		for j := i; j > 0 && out[j] < out[j-1]; j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out
}

func TestReadInvocation(t *testing.T) {
	t.Parallel()
	got, err := infer.ReadInvocation(request(t, infer.Invoke,
		`{"model":"m\u0031","prompt":"a\n","max_tokens":7,"temperature":0.0,"stream":true,"top_p":0.1}`))
	want := infer.Invocation{Model: "m1", Prompt: json.RawMessage(`"a\n"`), Stream: true, MaxTokens: 7, Most: 7, Tempered: true}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if text, ok := got.PromptText(); !ok || text != "a\n" {
		t.Errorf("the prompt is %q, %v", text, ok)
	}
}

func TestReadOthers(t *testing.T) {
	t.Parallel()
	s, err := infer.ReadSubmission(request(t, infer.InvokeAsync, `{"model":"m","prompt":"","idempotency_key":"k","deadline":1.5}`))
	if err != nil || s.Key != "k" || s.Deadline != 1500*time.Millisecond || s.Model != "m" {
		t.Errorf("%+v, %v", s, err)
	}
	l, err := infer.ReadLogs(request(t, infer.Logs, `{}`))
	if err != nil || l != (infer.LogQuery{Level: "info", Follow: true}) {
		t.Errorf("%+v, %v", l, err)
	}
	c, err := infer.ReadCancellation(request(t, infer.Cancel, `{"id":"a\u0062"}`))
	if err != nil || c.ID.Raw() != `"a\u0062"` {
		t.Errorf("%+v, %v", c, err)
	}
	q, err := infer.ReadInquiry(request(t, infer.Status, `{"job_id":"j","wait":0.25}`))
	if err != nil || q != (infer.Inquiry{Job: "j", Wait: 250 * time.Millisecond}) {
		t.Errorf("%+v, %v", q, err)
	}
	i, err := infer.ReadIntroduction(request(t, infer.Initialize, `{"clientInfo":{"name":"c"},"session":{"history":true,"ttl":60}}`))
	if err != nil || !i.History || i.TTL != time.Minute || string(i.Info) != `{"name":"c"}` {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err = infer.ReadIntroduction(request(t, infer.Initialize, `{"session":{"history":true,"history":false}}`)); rpc.CodeOf(err) != rpc.ParseError {
		t.Errorf("a wish that is two gives %v", err)
	}
}

// whole is a reply of some messages.
type whole []*rpc.Message

func (w *whole) Next() (*rpc.Message, error) {
	if len(*w) == 0 {
		return nil, io.EOF
	}
	m := (*w)[0]
	*w = (*w)[1:]
	return m, nil
}
func (*whole) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (*whole) Close() error              { return nil }

func collect(t *testing.T, most int, result string, chunks ...string) (string, error) {
	t.Helper()
	var w whole
	for _, c := range chunks {
		w = append(w, infer.NewChunk([]byte(c)))
	}
	w = append(w, rpc.NewResult(rpc.NumberID(7), []byte(result)))
	r := infer.Collect(rpc.NewReply(&w), "m", most)
	m, err := r.Next()
	if err != nil {
		return "", err
	}
	if _, err := r.Next(); !rpc.IsEnd(err) {
		t.Errorf("after the response comes %v", err)
	}
	return string(m.Result), r.Close()
}

func TestCollect(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		chunks       []string
		result, want string
	}{
		"text":            {[]string{`{"text":"a\n"}`, `{"text":"\u00e9"}`}, `{"usage":{"input_tokens":1},"finish_reason":"stop"}`, `{"model":"m","output":"a\n\u00e9","usage":{"input_tokens":1},"finish_reason":"stop"}`},
		"half characters": {[]string{`{"text":"\ud83d"}`, `{"text":"\ude00"}`}, `{}`, `{"model":"m","output":"\ud83d\ude00"}`},
		"nothing":         {nil, `{"finish_reason":"stop"}`, `{"model":"m","output":"","finish_reason":"stop"}`},
		"not streamed":    {nil, `{"model":"x","output":"a"}`, `{"model":"x","output":"a"}`},
		"a better output": {[]string{`{"text":"10 %"}`}, `{"output":"all"}`, `{"model":"m","output":"all"}`},
		"numbers as they": {[]string{`{"text":"a","n":1.0}`, `{"text":"b","n":1e2}`}, `{"x":0.10}`, `{"model":"m","output":"ab","n":1e2,"x":0.10}`},
		"reasoning":       {[]string{`{"reasoning_content":"h"}`, `{"reasoning_content":"m"}`, `{"text":"a"}`}, `{}`, `{"model":"m","reasoning_content":"hm","output":"a"}`},
		"null and value":  {[]string{`{"text":"a","reasoning":null}`, `{"reasoning":"r"}`, `{"reasoning":null}`}, `{}`, `{"model":"m","output":"a","reasoning":"r"}`},
		"calls of tools": {
			[]string{
				`{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]}`,
				`{"tool_calls":[{"index":1,"id":"c2","function":{"name":"g","arguments":"{"}}]}`,
				`{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}`, `{"tool_calls":[{"index":0,"function":{"arguments":"1}"}},{"index":1,"function":{"arguments":"}"}}]}`,
			},
			`{}`,
			`{"model":"m","tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"index":1,"id":"c2","function":{"name":"g","arguments":"{}"}}],"output":""}`,
		},
		"probabilities": {[]string{`{"text":"a","logprobs":{"content":[{"token":"a"}]}}`, `{"text":"b","logprobs":{"content":[{"token":"b"}]}}`}, `{}`, `{"model":"m","output":"ab","logprobs":{"content":[{"token":"a"},{"token":"b"}]}}`},
		"several answers": {
			[]string{`{"text":"a","index":0}`, `{"text":"x","index":2}`, `{"text":"b","index":0}`, `{"text":"y","index":2,"finish_reason":"length"}`},
			`{"finish_reason":"stop"}`,
			`{"model":"m","output":"ab","choices":[{"index":2,"output":"xy","finish_reason":"length"}],"finish_reason":"stop"}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := collect(t, 1000, tt.result, tt.chunks...)
			if err != nil || got != tt.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, tt.want)
			}
		})
	}
	for name, chunks := range map[string][]string{
		"more than there may be": {`{"text":"` + strings.Repeat("x", 600) + `"}`, `{"text":"` + strings.Repeat("x", 600) + `"}`},
		"another kind":           {`{"text":"a"}`, `{"text":{"a":1}}`},
		"an odd index":           {`{"text":"a","index":-1}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := collect(t, 1000, `{}`, chunks...); rpc.CodeOf(err) != rpc.UpstreamFailed {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
}

// Probabilities are a hundred times the text that they are of, and each answer that is put together holds all of them.
func TestWhatNothingGoesOnWithIsKeptAsItIs(t *testing.T) { //nolint:paralleltest // allocations are counted
	const tokens = 200
	token := `{"token":"a","logprob":-0.5,"bytes":[97,98,99],"top_logprobs":[` + strings.Repeat(`{"token":"b","logprob":-1,"bytes":[98]},`, 19) + `{"token":null}]}`
	chunk := []byte(`{"text":"a","logprobs":{"content":[` + strings.Repeat(token+",", tokens-1) + token + `]}}`)
	var a infer.Answer
	allocations := testing.AllocsPerRun(1, func() {
		a = infer.Answer{}
		if err := a.Add(chunk); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 20*tokens {
		t.Errorf("%v allocations for %d tokens", allocations, tokens)
	}
	got := a.Response(rpc.NewResult(rpc.NumberID(1), []byte(`{}`)), "m")
	if probabilities, _ := got.Get("logprobs"); string(probabilities) != string(chunk[len(`{"text":"a","logprobs":`):len(chunk)-1]) {
		t.Errorf("they are %s", rpc.Excerpt(string(probabilities)))
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	id, _ := rpc.ParseID([]byte(`"a\u0062"`))
	tests := map[string]struct {
		m    *rpc.Message
		want string
	}{
		"chunk":  {infer.TextChunk("a\"\n"), `{"id":"a\u0062","result":{"chunk":{"text":"a\"\u000a"}}}`},
		"entry":  {infer.NewEntry([]byte(`{"level":"info"}`)), `{"id":"a\u0062","result":{"entry":{"level":"info"}}}`},
		"result": {rpc.NewResult(rpc.NumberID(1), []byte(`{"usage":{}}`)), `{"id":"a\u0062","result":{"usage":{}}}`},
		"error": {
			rpc.NewError(rpc.NumberID(1), &rpc.WireError{Code: -32602, Message: "no", Data: []byte(`{"a":1}`)}),
			`{"id":"a\u0062","error":{"code":-32602,"message":"no","data":{"a":1}}}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := infer.AppendPart(nil, id, false, tt.m)
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			versioned := infer.AppendPart(nil, id, true, tt.m)
			if want := `{"jsonrpc":"2.0",` + tt.want[1:]; string(versioned) != want {
				t.Errorf("got  %s\nwant %s", versioned, want)
			}
			p, err := infer.ReadPart(versioned)
			if err != nil || p.ID != id || p.Done || (p.Chunk != nil) != (name == "chunk") || (p.Entry != nil) != (name == "entry") ||
				(p.Result != nil) != (name == "result") || (p.Err != nil) != (name == "error") {
				t.Errorf("it reads as %+v, %v", p, err)
			}
		})
	}
	if p, err := infer.ReadPart(infer.AppendDone(nil, id, true)); err != nil || !p.Done || p.ID != id {
		t.Errorf("the end reads as %+v, %v", p, err)
	}
	for _, text := range []string{
		``, `[]`, `7`, `{"id":1}`, `{"id":1,"done":false}`, `{"id":1,"done":true,"result":{}}`, `{"id":1,"result":{},"error":{"code":1,"message":""}}`,
		`{"id":1,"result":7}`, `{"id":1,"error":"x"}`, `{"id":1,"error":{}}`, `{"id":{},"result":{}}`, `{"id":1,"result":{}}x`, `{"id":1,"result":{"a":1,"a":2}}`, `{"id":1,"id":2,"result":{}}`,
	} {
		if p, err := infer.ReadPart([]byte(text)); err == nil {
			t.Errorf("%s reads as %+v", text, p)
		}
	}
	if p, err := infer.ReadPart([]byte(`{"id":1,"result":{"chunk":{},"more":1}}`)); err != nil || p.Chunk != nil || p.Result == nil {
		t.Errorf("a result with a member called chunk reads as %+v, %v", p, err)
	}
}

func TestUsageText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		u := rpc.Usage{
			Input: rapid.Int64Range(0, 1<<40).Draw(r, "in"), Output: rapid.Int64Range(0, 1<<40).Draw(r, "out"),
			Cached: rapid.Int64Range(0, 1<<40).Draw(r, "cached"), Estimated: rapid.Bool().Draw(r, "estimated"),
		}
		if got, ok := infer.ReadUsage(infer.AppendUsage(nil, u)); !ok || got != u {
			r.Fatalf("%+v reads as %+v, %v", u, got, ok)
		}
	})
	for _, text := range []string{``, `null`, `[]`, `{"input_tokens":-1}`, `{"input_tokens":"1"}`, `{"input_tokens":1.5}`, `{"output_tokens":1,"output_tokens":2}`} {
		if u, ok := infer.ReadUsage([]byte(text)); ok {
			t.Errorf("%s reads as %+v", text, u)
		}
	}
}

func TestEstimates(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int]int64{0: 1, 1: 1, 4: 1, 5: 2, 400: 100} {
		if got := infer.EstimateTokens(bytes); got != want {
			t.Errorf("%d bytes are %d tokens, want %d", bytes, got, want)
		}
	}
	var e infer.Estimator
	if got := e.Tokens("m", 400); got != 100 {
		t.Errorf("nobody has learned anything, and 400 bytes are %d tokens", got)
	}
	e.Observe("m", 0, 7)
	e.Observe("m", 400, 200)
	if got := e.Tokens("m", 400); got != 200 {
		t.Errorf("400 bytes are %d tokens, want what was seen", got)
	}
	for range 100 {
		e.Observe("m", 400, 50)
	}
	if got := e.Tokens("m", 400); got < 50 || got > 51 {
		t.Errorf("400 bytes are %d tokens, want what is seen of late", got)
	}
	e.Observe("m", 4, 1<<40) // nonsense goes so far and no farther
	if got := e.Tokens("m", 400); got > 200 {
		t.Errorf("400 bytes are %d tokens", got)
	}
	if got := e.Tokens("n", 400); got != 100 {
		t.Errorf("of another model 400 bytes are %d tokens", got)
	}
}

func TestVerbs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ method, params, verb, also string }{
		{infer.Invoke, `{"model":"m"}`, "invoke", ""},
		{infer.Invoke, `{"model":"m","stream":true}`, "invoke", "stream"},
		{infer.InvokeAsync, `{"model":"m","stream":true}`, "invoke", ""},
		{infer.Logs, `{}`, "logs", ""},
		{infer.Initialize, `{}`, "", ""},
		{infer.Cancel, `{}`, "", ""},
	} {
		method, ok := infer.Lookup(tt.method)
		c := &rpc.Call{Method: method, Message: request(t, tt.method, tt.params)}
		if !ok || infer.Verb(c) != tt.verb || infer.Also(c) != tt.also {
			t.Errorf("%s is judged as %q and %q, want %q and %q", tt.method, infer.Verb(c), infer.Also(c), tt.verb, tt.also)
		}
	}
	if _, ok := infer.Lookup("chunk"); ok {
		t.Error("clients can send chunks")
	}
}

func TestMostIsKnownOnlyWhereNothingMakesItMore(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]int64{
		``: 0, `,"max_tokens":7`: 7, `,"max_tokens":7,"n":1`: 7, `,"max_tokens":7,"n":null`: 7, `,"max_tokens":7,"n":2`: 0, `,"max_tokens":7,"n":1.0`: 0,
		`,"max_tokens":7,"best_of":3`: 0, `,"max_tokens":7,"max_completion_tokens":7`: 0, `,"max_completion_tokens":7`: 0, `,"max_tokens":7,"n_predict":-1`: 0,
	} {
		m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"model":"m","prompt":"a"`+params+`}}`), rpc.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := infer.ReadInvocation(m); err != nil || got.Most != want {
			t.Errorf("%s: %d, %v, want %d", params, got.Most, err, want)
		}
	}
}
