package mcpserver

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// The time that a client is asked something counts neither as silence nor toward the longest
// time, however many questions are open at once.
func TestDeadlinesCountTheUpstreamsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Server{cfg: config.Upstream{Timeout: 10 * time.Second, MaxTimeout: time.Minute}}
		x := &exchange{call: &rpc.Call{}, watch: stopwatch{began: time.Now()}}
		expect := func(when string, left time.Duration, over error) {
			t.Helper()
			if got, err := s.grace(x); got != left || !errors.Is(err, over) {
				t.Errorf("%s: %v %v, want %v %v", when, got, err, left, over)
			}
		}
		time.Sleep(10 * time.Second)
		expect("silent", 0, errIdle)
		question := func(id uint64) *rpc.Message { return rpc.NewRequest(rpc.NumberID(id), "elicitation/create", nil) }
		x.expect(question(1))
		time.Sleep(time.Hour)
		x.expect(question(2))
		time.Sleep(time.Hour)
		expect("two questions", 10*time.Second, nil)
		x.close(rpc.NewResult(rpc.NumberID(1), []byte("{}")))
		time.Sleep(time.Hour)
		expect("one question", 10*time.Second, nil)
		x.close(rpc.NewResult(rpc.NumberID(2), []byte("{}")))
		time.Sleep(4 * time.Second)
		expect("after the answers", 6*time.Second, nil)
		if got := s.pause(x); got != 10*time.Second {
			t.Errorf("after a message it may be silent for %v", got)
		}
		time.Sleep(41 * time.Second) // 55 seconds in all
		if got := s.pause(x); got != 5*time.Second {
			t.Errorf("near the end it may be silent for %v", got)
		}
		y := &exchange{call: &rpc.Call{}, watch: stopwatch{began: time.Now()}, patient: true}
		y.resume(x)
		if got, err := s.grace(y); got != 5*time.Second || err != nil {
			t.Errorf("another request of the call: %v %v", got, err)
		}
		time.Sleep(5 * time.Second)
		expect("at the end", 0, errEndless)
		if !s.endless(x) || !s.endless(y) {
			t.Error("the call goes on")
		}
	})
}

// What a routing rule says of a call's time holds instead of what its upstream's configuration says.
func TestARuleHasItsOwnDeadlines(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		route         *rpc.Route
		silence, most time.Duration
	}{
		"no rule":                             {nil, 10 * time.Second, time.Minute},
		"a rule that says nothing of it":      {&rpc.Route{}, 10 * time.Second, time.Minute},
		"shorter silence":                     {&rpc.Route{Timeout: time.Second}, time.Second, time.Minute},
		"longer silence than all":             {&rpc.Route{Timeout: time.Hour}, time.Hour, time.Hour},
		"shorter in all":                      {&rpc.Route{MaxTimeout: 5 * time.Second}, 5 * time.Second, 5 * time.Second},
		"longer in all":                       {&rpc.Route{MaxTimeout: time.Hour}, 10 * time.Second, time.Hour},
		"both":                                {&rpc.Route{Timeout: 2 * time.Second, MaxTimeout: 3 * time.Second}, 2 * time.Second, 3 * time.Second},
		"silence longer than the rule's most": {&rpc.Route{Timeout: 4 * time.Second, MaxTimeout: 3 * time.Second}, 3 * time.Second, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &Server{cfg: config.Upstream{Timeout: 10 * time.Second, MaxTimeout: time.Minute}}
				x := &exchange{call: &rpc.Call{Route: tt.route}, watch: stopwatch{began: time.Now()}}
				if silence, most := s.allowed(x); silence != tt.silence || most != tt.most {
					t.Errorf("%v and %v, want %v and %v", silence, most, tt.silence, tt.most)
				}
				time.Sleep(tt.most)
				if _, err := s.grace(x); !errors.Is(err, errEndless) || !s.endless(x) {
					t.Errorf("after %v: %v", tt.most, err)
				}
				if said := s.overdue(x, errEndless).Message; !strings.HasSuffix(said, "took longer than "+tt.most.String()) {
					t.Error(said)
				}
				if said := s.overdue(x, errIdle).Message; !strings.HasSuffix(said, "sent nothing for "+tt.silence.String()) {
					t.Error(said)
				}
			})
		})
	}
}

// chatter is a modern server that reports progress as long as it is listened to.
func chatter(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m, err := rpc.Parse(body, rpc.Limits{})
	if err != nil || !m.IsRequest() {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if m.Method == "server/discover" {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":60000,"cacheScope":"private"}}`, m.ID.Raw())
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for n := 1; r.Context().Err() == nil; n++ {
		fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,\"progress\":%d}}\n\n", m.ID.Raw(), n)
		w.(http.Flusher).Flush()
		time.Sleep(10 * time.Millisecond)
	}
}

// Progress keeps a call going for longer than the time-out, and not for ever.
func TestProgressExtendsACallUpToItsLongestTime(t *testing.T) { // alone, because it is about time
	const timeout, longest = 600 * time.Millisecond, 700 * time.Millisecond
	for name, at := range map[string]struct {
		cfg    config.Upstream
		client rpc.Client
		tool   string
		meta   string
	}{
		"stdio":         {scripted("legacy"), legacyClient(), "steady", ""},
		"stdio, a rush": {scripted("legacy"), legacyClient(), "endless", ""},
		"http":          {remote(t, http.HandlerFunc(chatter)), modernClient(), "any", modernMeta + ","},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := at.cfg
			cfg.Timeout, cfg.MaxTimeout = timeout, longest
			s := newServer(t, cfg)
			if _, err := s.Describe(t.Context()); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			reply, err := s.Handle(t.Context(), newCall(t, at.client,
				`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+at.tool+`","_meta":{`+at.meta+`"progressToken":1}}}`))
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Close()
			told := 0
			for ; err == nil; told++ {
				var m *rpc.Message
				if m, err = reply.Next(); err == nil && m.IsResponse() {
					t.Fatalf("it was answered: %s", textOf(m))
				}
			}
			if e := rpc.AsError(err); e.Code != rpc.UpstreamTimeout || !strings.Contains(e.Message, "took longer than 700ms") {
				t.Errorf("it ended with %v", err)
			}
			if took := time.Since(began); took < longest || told < 3 {
				t.Errorf("it ended after %v and %d notifications", took, told-1)
			}
		})
	}
}
