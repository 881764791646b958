package engine_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/test/fake/engine"
)

func TestFaultsInAStream(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault  engine.Fault
		tokens int    // read
		last   string // part of the last line
		broken bool
	}{
		"reset at once":         {engine.Fault{Kind: engine.Reset}, 0, "", true},
		"reset":                 {engine.Fault{Kind: engine.Reset, After: 3}, 3, "", true},
		"cut":                   {engine.Fault{Kind: engine.Cut, After: 3}, 3, "", true},
		"die":                   {engine.Fault{Kind: engine.Die, After: 3}, 3, "", true},
		"unfinished":            {engine.Fault{Kind: engine.Unfinished, After: 3}, 3, "", false},
		"garbage":               {engine.Fault{Kind: engine.Garbage, After: 3}, 3, `{"choices":[{"ind`, false},
		"error":                 {engine.Fault{Kind: engine.StreamError, After: 3, Message: "out of memory"}, 3, "out of memory", false},
		"error after the end":   {engine.Fault{Kind: engine.StreamError, After: 99}, 5, "the engine failed", false},
		"no usage":              {engine.Fault{Kind: engine.NoUsage}, 5, "[DONE]", false},
		"none":                  {engine.Fault{Kind: engine.Reset, Match: func(r *engine.Request) bool { return r.Model == "x" }}, 5, "[DONE]", false},
		"none, it was the last": {engine.Fault{Kind: engine.Reset, Every: 2}, 5, "[DONE]", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := engine.New(engine.Config{TokenRate: 10})
				e.Fail(tt.fault)
				if tt.fault.Every == 2 {
					_, _ = stream(t, client(t, e), "/v1/completions", completion(1, 5, `,"stream":true`))
				}
				got, err := stream(t, client(t, e), "/v1/completions", completion(1, 5, `,"stream":true,"stream_options":{"include_usage":true}`))
				if (err != nil) != tt.broken {
					t.Errorf("error %v", err)
				}
				tokens := 0
				for _, l := range got {
					if strings.Contains(l.text, `"text":`) {
						tokens++
					}
				}
				if tokens != tt.tokens {
					t.Errorf("%d tokens, want %d", tokens, tt.tokens)
				}
				if tt.last != "" && !strings.Contains(got[len(got)-1].text, tt.last) {
					t.Errorf("last line %q, want %q in it", got[len(got)-1].text, tt.last)
				}
				if usage := strings.Contains(joined(got), "prompt_tokens"); usage != (tt.last == "[DONE]" && tt.fault.Kind != engine.NoUsage) {
					t.Errorf("usage: %t", usage)
				}
			})
		})
	}
}

func joined(lines []line) string {
	var all strings.Builder
	for _, l := range lines {
		all.WriteString(l.text)
	}
	return all.String()
}

func TestStallHoldsTheSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{TokenRate: 10, Slots: 1})
		e.Fail(engine.Fault{Kind: engine.Stall, After: 2, Times: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		resp, err := open(ctx, client(t, e), "/v1/completions", completion(1, 5, `,"stream":true`))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second)
		if got := e.Stats(); got.Running != 1 || got.Sampled != 2 {
			t.Errorf("%+v", got)
		}
		_, _ = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		synctest.Wait()
		if got := e.Stats(); got.Running != 0 || !e.Ledger()[0].Aborted {
			t.Errorf("%+v", got)
		}
		together(t, e, completion(1, 5, "")) // it was once only
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{})
		e.Fail(engine.Fault{Kind: engine.Refuse, Status: 429, RetryAfter: "7", Times: 1})
		e.Fail(engine.Fault{Kind: engine.Refuse})
		for _, want := range []struct {
			status int
			header string
		}{{429, "7"}, {503, ""}, {503, ""}} {
			status, header, body := post(t, client(t, e), "/v1/chat/completions", hello+`}`)
			if status != want.status || header.Get("Retry-After") != want.header {
				t.Errorf("%d %v %s", status, header, body)
			}
		}
		e.Heal()
		if status, _, body := post(t, client(t, e), "/v1/chat/completions", hello+`}`); status != 200 {
			t.Errorf("healed: %d %s", status, body)
		}
	})
}

func TestFaultsInUnaryAnswers(t *testing.T) {
	t.Parallel()
	for kind, want := range map[engine.Kind]int{engine.Garbage: 200, engine.StreamError: 500, engine.Unfinished: 200, engine.Reset: 0, engine.Die: 0} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := engine.New(engine.Config{TokenRate: 10})
				e.Fail(engine.Fault{Kind: kind, After: 3})
				status := 0
				if resp, err := open(t.Context(), client(t, e), "/v1/completions", completion(1, 5, "")); err == nil {
					status = resp.StatusCode
					_ = resp.Body.Close()
				}
				if got := e.Ledger()[0]; status != want || got.Output != 3 || !got.Aborted {
					t.Errorf("status %d, %+v", status, got)
				}
			})
		})
	}
}

func TestKilledServerComesBack(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{})
	s.Fail(engine.Fault{Kind: engine.Die, After: 3, Times: 1})
	get := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(hello+`,"stream":true}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := new(http.Client).Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		return err
	}
	for _, when := range []string{"while it dies", "when it is dead"} {
		if err := get(); err == nil {
			t.Errorf("%s: no error", when)
		}
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := get(); err != nil {
		t.Errorf("when it is back: %v", err)
	}
}
