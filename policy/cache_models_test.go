package policy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

var modelsKept = config.Cache{
	MaxSize: 64 * config.MiB,
	Models:  config.CachedModels{Allow: []string{"llama-*"}, TTL: 10 * time.Minute, MaxTemperature: 0},
}

// answered is a model's answer: chunks, if there are any, and a result.
func answered(c *rpc.Call, result string, chunks ...string) *rpc.Reply {
	var all []*rpc.Message
	for _, chunk := range chunks {
		all = append(all, rpc.NewNotification("chunk", []byte(chunk)))
	}
	return rpc.NewReply(&inTurn{append(all, rpc.NewResult(c.Message.ID, []byte(result)))})
}

// inTurn is a source of messages.
type inTurn struct{ left []*rpc.Message }

func (s *inTurn) Next() (*rpc.Message, error) {
	if len(s.left) == 0 {
		return nil, io.EOF
	}
	m := s.left[0]
	s.left = s.left[1:]
	return m, nil
}
func (*inTurn) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (*inTurn) Close() error              { return nil }

// read makes a call through a cache and returns what the client gets.
func (k *cached) read(c *rpc.Call) (out []string) {
	k.t.Helper()
	c.Record = &rpc.Record{}
	reply, err := k.handle(context.Background(), c)
	if err != nil {
		return []string{err.Error()}
	}
	defer reply.Close() //nolint:errcheck // it has nothing to say
	for {
		m, err := reply.Next()
		switch {
		case rpc.IsEnd(err):
			return out
		case err != nil:
			return append(out, err.Error())
		case m.IsResponse():
			out = append(out, string(m.AppendResult(nil)))
		default:
			out = append(out, m.Method+" "+string(m.Params))
		}
	}
}

const whole = `{"model":"llama-7b","output":"yes","finish_reason":"stop","usage":{"input_tokens":3,"output_tokens":1}}`

// Which calls of models are answered again.
func TestAnswersOfModelsAreKept(t *testing.T) {
	t.Parallel()
	base := `{"model":"llama-7b","prompt":"?","temperature":0}`
	for name, tc := range map[string]struct {
		warmer        config.Amount // max_temperature, if it is not 0
		model         string
		first, second string
		who           rpc.Principal // of the second call
		answer        string
		calls         int64 // of 2
	}{
		"again":                {calls: 1},
		"another order":        {second: `{"temperature": 0, "prompt":"?", "model":"llama-7b"}`, calls: 1},
		"another prompt":       {second: `{"model":"llama-7b","prompt":"!","temperature":0}`, calls: 2},
		"another parameter":    {second: `{"model":"llama-7b","prompt":"?","temperature":0,"x":1}`, calls: 2},
		"other values":         {first: `{"a":"b","c":"d","temperature":0}`, second: `{"a":"bc","":"d","temperature":0}`, calls: 2},
		"streamed":             {second: `{"model":"llama-7b","prompt":"?","temperature":0,"stream":true}`, calls: 2},
		"somebody else":        {who: somebody("acme", "build", "k", "bob"), calls: 2},
		"another organisation": {who: somebody("other", "build", "k", "eve"), calls: 2},
		"another model":        {model: "mistral", calls: 2},
		"warm":                 {first: `{"prompt":"?","temperature":0.1}`, calls: 2},
		"warm, allowed":        {warmer: 200_000, first: `{"prompt":"?","temperature":0.1}`, calls: 1},
		"unsaid":               {first: `{"prompt":"?"}`, calls: 2},
		"unsaid, allowed":      {warmer: config.Millionths, first: `{"prompt":"?"}`, calls: 1},
		"nothing":              {first: `{"prompt":"?","temperature":null}`, calls: 2},
		"no number":            {first: `{"prompt":"?","temperature":"0"}`, calls: 2},
		"cut at its length":    {answer: `{"output":"y","finish_reason":"length"}`, calls: 1},
		"filtered":             {answer: `{"output":"y","finish_reason":"content_filter"}`, calls: 2},
		"no reason":            {answer: `{"output":"y"}`, calls: 2},
		"too large":            {answer: `{"output":"` + strings.Repeat("y", 1<<20) + `","finish_reason":"stop"}`, calls: 2},
		"large":                {answer: `{"output":"` + strings.Repeat("y", 1<<19) + `","finish_reason":"stop"}`, calls: 1},
		"ambiguous":            {answer: `{"output":"y","finish_reason":"stop","finish_reason":"error"}`, calls: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := modelsKept
			cfg.Models.MaxTemperature = tc.warmer
			k := newCached(t, cfg, "")
			answer := tc.answer
			if answer == "" {
				answer = whole
			}
			k.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) { return answered(c, answer), nil }
			if tc.first == "" {
				tc.first = base
			}
			if tc.second == "" {
				tc.second = tc.first
			}
			if tc.model == "" {
				tc.model = "llama-7b"
			}
			first, second := invocation(tc.model, tc.first), invocation(tc.model, tc.second)
			if tc.who.Org != "" {
				second.Principal = tc.who
			}
			second.Message = rpc.NewRequest(rpc.StringID("two"), "invoke", []byte(tc.second))
			want := k.read(first)
			if diff := cmp.Diff(want, k.read(second)); diff != "" {
				t.Error(diff)
			}
			if got := k.asked.Load(); got != tc.calls {
				t.Errorf("%d calls were made, want %d", got, tc.calls)
			}
			if second.Record.Cached() != (tc.calls == 1) {
				t.Error("the record does not say so")
			}
		})
	}
}

// A stream that was kept comes as it came, chunk by chunk, and with the usage that it had.
func TestStreamsOfModelsAreReplayed(t *testing.T) {
	t.Parallel()
	k := newCached(t, modelsKept, "")
	end := `{"usage":{"input_tokens":3,"output_tokens":2},"finish_reason":"stop"}`
	fails := true
	k.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if fails {
			return rpc.NewReply(&breaks{Source: &inTurn{[]*rpc.Message{rpc.NewNotification("chunk", []byte(`{"text":"a"}`))}}}), nil
		}
		return answered(c, end, `{"text":"a"}`, `{"text":" b", "index":1}`), nil
	}
	params := `{"model":"llama-7b","prompt":"?","temperature":0,"stream":true}`
	if got := k.read(invocation("llama-7b", params)); len(got) != 2 || !strings.Contains(got[1], "cut") {
		t.Errorf("%q", got)
	}
	fails = false
	want := []string{`chunk {"text":"a"}`, `chunk {"text":" b", "index":1}`, end}
	for range 3 {
		if diff := cmp.Diff(want, k.read(invocation("llama-7b", params))); diff != "" {
			t.Error(diff)
		}
	}
	if got := k.asked.Load(); got != 2 {
		t.Errorf("%d calls were made", got)
	}
}

// breaks is a source that breaks off where another one ends.
type breaks struct{ rpc.Source }

func (b *breaks) Next() (*rpc.Message, error) {
	m, err := b.Source.Next()
	if err != nil {
		return nil, rpc.Errorf(rpc.UpstreamDown, "cut")
	}
	return m, nil
}

// Of equal calls at the same time one is made, and answers get old.
func TestEqualCallsOfModelsAreOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newCached(t, modelsKept, "")
		var same atomic.Int64
		k.answer = func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
			time.Sleep(time.Second)
			return answered(c, whole), nil
		}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				c := invocation("llama-7b", `{"model":"llama-7b","prompt":"?","temperature":0}`)
				c.Message = rpc.NewRequest(rpc.StringID(fmt.Sprint(i)), "invoke", c.Message.Params)
				if got := k.read(c); len(got) == 1 && json.Valid([]byte(got[0])) && got[0] == whole {
					same.Add(1)
				}
			})
		}
		all.Wait()
		if k.asked.Load() != 1 || same.Load() != 8 {
			t.Errorf("%d calls were made, %d have the answer", k.asked.Load(), same.Load())
		}
		time.Sleep(10*time.Minute + time.Second)
		k.read(invocation("llama-7b", `{"model":"llama-7b","prompt":"?","temperature":0}`))
		if k.asked.Load() != 2 {
			t.Error("an old answer is given")
		}
	})
}

// A hit costs no budget, and shows the usage that the answer had.
func TestHitsOfModelsAreFree(t *testing.T) {
	t.Parallel()
	l := newMetered(t, meter(), tokens(1000))
	l.answer = func(c *rpc.Call) (*rpc.Reply, error) {
		return rpc.NewReply(generate(c, 100, part{tokens: 10})), nil
	}
	k := newCached(t, modelsKept, "")
	k.answer = func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) { return l.call(ctx, c) }
	params := `{"tokens":100,"max_tokens":50,"temperature":0}`
	first := k.read(invocation("llama-7b", params))
	if diff := cmp.Diff(first, k.read(invocation("llama-7b", params))); diff != "" {
		t.Error(diff)
	}
	if got := l.used(t, "tokens"); got != 110 {
		t.Errorf("%v are charged", got)
	}
}
