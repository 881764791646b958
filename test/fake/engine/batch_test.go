package engine_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/test/fake/engine"
)

// completion asks for so many tokens after a prompt of so many.
func completion(prompt, tokens int, more string) string {
	return fmt.Sprintf(`{"model":"sim","prompt":%q,"max_tokens":%d,"ignore_eos":true%s}`, strings.Repeat("abcd", prompt), tokens, more)
}

// together makes calls at the same time and returns how long each took.
func together(t *testing.T, e *engine.Engine, bodies ...string) []time.Duration {
	t.Helper()
	took := make([]time.Duration, len(bodies))
	var group sync.WaitGroup
	for i, body := range bodies {
		group.Go(func() {
			began := time.Now()
			if status, _, answer := post(t, client(t, e), "/v1/completions", body); status != 200 {
				t.Errorf("%d: %s", status, answer)
			}
			took[i] = time.Since(began)
		})
		synctest.Wait() // in their order
	}
	group.Wait()
	return took
}

func TestStepsCostWhatTheConfigurationSays(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		config engine.Config
		bodies []string
		want   []time.Duration
	}{
		"one sequence":                   {engine.Config{TokenRate: 100}, []string{completion(1, 11, "")}, []time.Duration{100 * ms}},
		"two share a batch":              {engine.Config{TokenRate: 100}, []string{completion(1, 11, ""), completion(1, 11, "")}, []time.Duration{100 * ms, 120 * ms}},
		"a total that is less":           {engine.Config{TokenRate: 100, TotalRate: 100}, []string{completion(1, 11, ""), completion(1, 11, "")}, []time.Duration{180 * ms, 200 * ms}},
		"one slot":                       {engine.Config{TokenRate: 100, Slots: 1}, []string{completion(1, 11, ""), completion(1, 11, "")}, []time.Duration{100 * ms, 200 * ms}},
		"a prompt":                       {engine.Config{TokenRate: 100, Prefill: ms}, []string{completion(50, 11, "")}, []time.Duration{150 * ms}},
		"a prompt in chunks":             {engine.Config{TokenRate: 100, Prefill: ms, Chunk: 10}, []string{completion(50, 11, "")}, []time.Duration{150 * ms}},
		"a prompt beside one that tells": {engine.Config{TokenRate: 100, Prefill: ms}, []string{completion(1, 11, ""), completion(50, 1, "")}, []time.Duration{151 * ms, 61 * ms}},
		"a model that loads":             {engine.Config{TokenRate: 100, Load: time.Second}, []string{completion(1, 11, "")}, []time.Duration{1100 * ms}},
		"no cost at all":                 {engine.Config{}, []string{completion(50, 1000, "")}, []time.Duration{0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				got := together(t, engine.New(tt.config), tt.bodies...)
				for i, want := range tt.want {
					if got[i] != want {
						t.Errorf("answer %d took %s, want %s", i, got[i], want)
					}
				}
			})
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{Slots: 1, Queue: 1, TokenRate: 10})
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() { post(t, client(t, e), "/v1/completions", completion(1, 11, "")) })
		}
		synctest.Wait()
		if got := e.Stats(); got.Running != 1 || got.Waiting != 1 || got.Unsettled != 2 {
			t.Errorf("%+v", got)
		}
		if status, _, body := post(t, client(t, e), "/v1/completions", completion(1, 11, "")); status != 503 || !strings.Contains(body, "server busy") {
			t.Errorf("%d %s", status, body)
		}
		group.Wait()
	})
}

func TestClientsThatLeave(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		delay  time.Duration
		tokens int64
	}{
		"noticed at once":       {0, 4},
		"noticed after a while": {500 * time.Millisecond, 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := engine.New(engine.Config{Slots: 1, TokenRate: 10, AbortDelay: tt.delay})
				ctx, cancel := context.WithTimeout(t.Context(), 350*time.Millisecond)
				defer cancel()
				resp, err := open(ctx, client(t, e), "/v1/completions", completion(1, 1000, `,"stream":true`))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadAll(resp.Body); err == nil {
					t.Fatal("the stream ended before the client left")
				}
				_ = resp.Body.Close()
				// Its slot is free for the next one, and what was sampled in the meantime counts.
				if took := together(t, e, completion(1, 1, ""))[0]; took < tt.delay || took > tt.delay+200*time.Millisecond {
					t.Errorf("the next one waited %s", took)
				}
				if got := e.Ledger()[0]; !got.Aborted || !got.Settled || got.Output != tt.tokens {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

func TestPrefixesAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{Prefill: time.Millisecond, PrefixCache: true, Slots: 2, Context: 1024})
		long := completion(100, 1, "")
		for i, want := range []time.Duration{100 * time.Millisecond, 4 * time.Millisecond} {
			if got := together(t, e, long)[0]; got != want {
				t.Errorf("prompt %d took %s, want %s", i, got, want)
			}
		}
		_, _, body := post(t, client(t, e), "/v1/completions", long)
		if got := parse(t, body); got.Usage.Details == nil || got.Usage.Details.Cached != 96 {
			t.Errorf("usage of %s", body)
		}
		if got := e.Stats(); got.PrefixQueries != 300 || got.PrefixHits != 192 || got.KVUsage != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestPromptsDisplaceEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{PrefixCache: true, KV: 320})
		ask := func(first string) {
			post(t, client(t, e), "/v1/completions", `{"model":"sim","max_tokens":1,"prompt":"`+first+strings.Repeat("abcd", 199)+`"}`)
		}
		ask("AAAA")
		ask("AAAA")
		if got := e.Stats().PrefixHits; got != 192 {
			t.Errorf("%d tokens were found, want 192", got)
		}
		ask("BBBB") // has no room beside it
		ask("AAAA")
		if got := e.Stats().PrefixHits; got != 192 {
			t.Errorf("%d tokens were found after the prompt was displaced, want 192", got)
		}
	})
}

func TestWhoFindsNoMemoryIsPreempted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{TokenRate: 10, KV: 160, Context: 160})
		long := completion(48, 48, "")
		together(t, e, long, long)
		got := e.Stats()
		if got.Preemptions == 0 || got.Sampled != 96 || got.KVUsage != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestContextFitsTheMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{KV: 100})
		c := client(t, e)
		if status, _, body := post(t, c, "/v1/completions", completion(90, 6, "")); status != 200 || parse(t, body).Usage.Completion != 6 {
			t.Errorf("as much as there is: %d %s", status, body)
		}
		if status, _, body := post(t, c, "/v1/completions", completion(90, 7, "")); status != 400 {
			t.Errorf("one more: %d %s", status, body)
		}
	})
}

func TestMemoryIsGivenBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{TokenRate: 100, Prefill: time.Millisecond, KV: 640, Context: 600, Slots: 4, PrefixCache: true})
		var group sync.WaitGroup
		for i := range 60 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7+1)*130*time.Millisecond)
			group.Go(func() {
				defer cancel()
				body := completion(20+i%5*40, 30+i%3*50, `,"stream":true`)
				if resp, err := open(ctx, client(t, e), "/v1/completions", body); err == nil {
					_, _ = io.ReadAll(resp.Body)
					_ = resp.Body.Close()
				}
			})
			time.Sleep(50 * time.Millisecond)
		}
		group.Wait()
		synctest.Wait()
		if got := e.Stats(); got.Running != 0 || got.Waiting != 0 || got.KVUsage != 0 || got.Unsettled != 0 {
			t.Errorf("%+v", got)
		}
		var output int64
		for _, r := range e.Ledger() {
			output += r.Output
		}
		if got := e.Stats().Sampled; got != output {
			t.Errorf("%d tokens sampled, %d in the ledger", got, output)
		}
	})
}
