package rpc_test

import (
	"testing"

	"github.com/headgate/headgate/rpc"
)

func TestMessagesOfTheInferenceDialect(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"without a version":        `{"id":1,"method":"invoke","params":{"model":"m"}}`,
		"with a version":           `{"jsonrpc":"2.0","id":1,"method":"invoke"}`,
		"an id that is a string":   `{"id":"a\u0062","method":"ping"}`,
		"an id that is large":      `{"id":123456789012345678901234567890,"method":"ping"}`,
		"a negative id":            `{"id":-0,"method":"ping"}`,
		"a notification":           `{"method":"ping"}`,
		"members nobody knows":     `{"id":1,"method":"invoke","x":{"a":1,"a":2},"params":{"y":[{"b":1,"b":1}]}}`,
		"a name that MCP reserves": `{"id":1,"method":"invoke","params":{"Name":"n","ARGUMENTS":1}}`,
		"an answer":                `{"id":1,"result":{"chunk":{"text":"a"}}}`,
	}
	for name, text := range good {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := rpc.Parse([]byte(text), rpc.Limits{Dialect: rpc.Infer})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(m.Clone().AppendTo(nil)); got != text {
				t.Errorf("a clone is %s, want %s", got, text)
			}
		})
	}
	bad := map[string]struct {
		text string
		want rpc.Code
	}{
		"another version":            {`{"jsonrpc":"1.0","id":1,"method":"ping"}`, rpc.InvalidRequest},
		"a version that is null":     {`{"jsonrpc":null,"id":1,"method":"ping"}`, rpc.InvalidRequest},
		"an id with a fraction":      {`{"id":1.0,"method":"ping"}`, rpc.InvalidRequest},
		"an id with an exponent":     {`{"id":1e3,"method":"ping"}`, rpc.InvalidRequest},
		"an id that is null":         {`{"id":null,"method":"ping"}`, rpc.InvalidRequest},
		"an id that is an object":    {`{"id":{},"method":"ping"}`, rpc.InvalidRequest},
		"a batch":                    {`[{"id":1,"method":"ping"}]`, rpc.InvalidRequest},
		"no method":                  {`{"id":1}`, rpc.InvalidRequest},
		"a method that is a number":  {`{"id":1,"method":7}`, rpc.InvalidRequest},
		"params that are a list":     {`{"id":1,"method":"invoke","params":[]}`, rpc.InvalidRequest},
		"no JSON":                    {`{"id":1,`, rpc.ParseError},
		"no UTF-8":                   {"{\"id\":1,\"method\":\"p\xff\"}", rpc.ParseError},
		"a member twice":             {`{"id":1,"id":1,"method":"ping"}`, rpc.ParseError},
		"a param twice":              {`{"id":1,"method":"invoke","params":{"x":1,"x":1}}`, rpc.ParseError},
		"a param in another case":    {`{"id":1,"method":"invoke","params":{"Model":"m"}}`, rpc.ParseError},
		"a member in another case":   {`{"id":1,"METHOD":"ping"}`, rpc.ParseError},
		"several answers, unseen":    {`{"id":1,"method":"invoke","params":{"max_tokens":1,"N":9}}`, rpc.ParseError},
		"a longer answer, unseen":    {`{"id":1,"method":"invoke","params":{"max_tokens":1,"max_completion_to\u212aens":9}}`, rpc.ParseError},
		"options, unseen":            {`{"id":1,"method":"invoke","params":{"max_tokens":1,"Options":{}}}`, rpc.ParseError},
		"a temperature, unseen":      {`{"id":1,"method":"invoke","params":{"temperature":0,"Temperature":2}}`, rpc.ParseError},
		"a param twice, with escape": {`{"id":1,"method":"invoke","params":{"model":"a","mod\u0065l":"b"}}`, rpc.ParseError},
	}
	for name, tt := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rpc.Parse([]byte(tt.text), rpc.Limits{Dialect: rpc.Infer})
			if err == nil || rpc.CodeOf(err) != tt.want {
				t.Errorf("the error is %v, want %v", err, tt.want)
			}
		})
	}
}

func TestUsageIsThatOfAllAttempts(t *testing.T) {
	t.Parallel()
	var none *rpc.Try
	none.Metered(&rpc.Meter{})
	r := &rpc.Record{}
	if got := r.Usage(); got != (rpc.Usage{}) {
		t.Errorf("nobody was asked, and %+v was used", got)
	}
	var meters [2]rpc.Meter
	first := r.Try(rpc.Hop{Upstream: "a"})
	first.Metered(&meters[0])
	meters[0].Uses(rpc.Usage{Input: 10, Output: 1, Estimated: true})
	meters[0].Uses(rpc.Usage{Input: 10, Output: 4, Estimated: true})
	first.End(nil)
	second := r.Try(rpc.Hop{Upstream: "a"})
	second.Metered(&meters[1])
	meters[1].Uses(rpc.Usage{Input: 11, Output: 7, Cached: 3})
	if got, want := r.Usage(), (rpc.Usage{Input: 21, Output: 11, Cached: 3, Estimated: true}); got != want {
		t.Errorf("used %+v, want %+v", got, want)
	}
	if got, want := second.Attempt().Usage, (rpc.Usage{Input: 11, Output: 7, Cached: 3}); got != want {
		t.Errorf("the second attempt used %+v, want %+v", got, want)
	}
}
