package model_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// Each deadline ends a call when it has passed and not before, and says which one it was.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		plan     plan
		unary    bool
		route    *rpc.Route
		took     time.Duration
		messages int
		deadline string // empty: the call is answered
		says     string
	}{
		"in time":                           {plan: plan{first: 9 * time.Second, chunks: 3, every: 14 * time.Second}, took: 37 * time.Second, messages: 4},
		"no first token":                    {plan: plan{first: 11 * time.Second, chunks: 1}, took: 10 * time.Second, deadline: "first_token", says: "nothing within 10s"},
		"silence":                           {plan: plan{first: time.Second, chunks: 3, every: 16 * time.Second}, took: 16 * time.Second, messages: 1, deadline: "between_tokens", says: "nothing more for 15s"},
		"too long in all":                   {plan: plan{first: time.Second, chunks: 200, every: 10 * time.Second}, took: 10 * time.Minute, messages: 60, deadline: "total", says: "did not finish within 10m"},
		"a whole answer has no first token": {plan: plan{first: 9 * time.Minute, chunks: 1}, unary: true, took: 9 * time.Minute, messages: 1},
		"a whole answer takes too long":     {plan: plan{first: 11 * time.Minute, chunks: 1}, unary: true, took: 10 * time.Minute, deadline: "total", says: "within 10m"},
		"a rule gives less": {
			plan: plan{first: 3 * time.Second, chunks: 1}, route: &rpc.Route{Timeout: 2 * time.Second}, took: 2 * time.Second, deadline: "first_token", says: "within 2s",
		},
		"a rule gives more": {plan: plan{first: 30 * time.Second, chunks: 1}, route: &rpc.Route{Timeout: time.Minute}, took: 30 * time.Second, messages: 2},
		"a rule gives less in all": {
			plan: plan{first: time.Second, chunks: 9, every: time.Second}, route: &rpc.Route{MaxTimeout: 2500 * time.Millisecond}, took: 2500 * time.Millisecond, messages: 2,
			deadline: "total", says: "within 2.5s",
		},
		"of a whole answer, too": {
			plan: plan{first: 3 * time.Second, chunks: 1}, unary: true, route: &rpc.Route{Timeout: 2 * time.Second}, took: 2 * time.Second, deadline: "first_token", says: "within 2s",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				of := newTroupe(1, func(*rpc.Call) plan { return tt.plan })
				p := newPool(t, of, modelOf(of, 0, nil))
				defer p.Close() //nolint:errcheck // nothing could fail
				c := streamed(t, "x")
				if tt.unary {
					c = unary(t, "x")
				}
				c.Route = tt.route
				began := time.Now()
				messages, err := finished(t.Context(), p, c)
				if took := time.Since(began); took != tt.took || messages != tt.messages {
					t.Errorf("%d messages in %v, want %d in %v", messages, took, tt.messages, tt.took)
				}
				if tt.deadline == "" {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				e := rpc.AsError(err)
				data, _ := e.Data.(map[string]any)
				if e.Code != rpc.UpstreamTimeout || data["deadline"] != tt.deadline || !strings.Contains(e.Message, tt.says) || e.Upstream != "big" {
					t.Errorf("it failed with %+v", e)
				}
				if n := of[0].flying.Load(); n != 0 {
					t.Errorf("the backend still has %d calls", n)
				}
				if n := of[0].calls.Load(); n != 1 {
					t.Errorf("the call was made %d times", n)
				}
			})
		})
	}
}

// What a client takes to read is not the backend's time.
func TestASlowClientIsNotABackendThatIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(1, answersIn(time.Second, 5, time.Second))
		p := newPool(t, of, modelOf(of, 0, nil))
		defer p.Close() //nolint:errcheck // nothing could fail
		reply, err := p.Handle(t.Context(), streamed(t, "x"))
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Close() //nolint:errcheck // likewise
		for i := range 6 {
			if _, err := reply.Next(); err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			time.Sleep(time.Minute)
		}
	})
}

// A client that leaves ends the call, and nothing is held against the backend.
func TestAClientThatLeavesIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(2, answersIn(time.Second, 100, time.Second))
		p := newPool(t, of, modelOf(of, 4, nil))
		defer p.Close() //nolint:errcheck // nothing could fail
		for i := range 30 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Millisecond)
			_, _ = finished(ctx, p, streamed(t, "x"))
			cancel()
		}
		for _, b := range p.Backends() {
			if b.Failures > 0 || b.InFlight != 0 || b.State != "up" {
				t.Errorf("%+v", b)
			}
		}
	})
}

// A backend whose streams fall silent is one that fails, though each of them began well: others are preferred to it.
func TestABackendWhoseStreamsFallSilentIsEjected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		of := newTroupe(2, answersIn(10*time.Millisecond, 2, 10*time.Millisecond))
		of[0].plan = answersIn(10*time.Millisecond, 2, time.Hour)
		p := newPool(t, of, modelOf(of, 0, func(m *config.Model) { m.PrefixAffinity = 0 }))
		defer p.Close() //nolint:errcheck // nothing could fail
		broken := 0
		for range 100 {
			if _, err := finished(t.Context(), p, streamed(t, "x")); err != nil {
				broken++
			}
			if p.Backends()[0].State == "ejected" {
				break
			}
		}
		if broken != 5 || p.Backends()[0].State != "ejected" {
			t.Errorf("%d calls broke off, and it is %s", broken, p.Backends()[0].State)
		}
	})
}
