package mcpserver

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// twoFaced is a server whose era is what the test says at the moment.
func twoFaced(modern *atomic.Bool) *script {
	refuse := func(w http.ResponseWriter) {
		http.Error(w, "Bad Request: Server not initialized", http.StatusBadRequest)
	}
	return &script{
		discover: func(w http.ResponseWriter, id string) {
			if modern.Load() {
				discovered(w, id)
			} else {
				refuse(w)
			}
		},
		initial: func(w http.ResponseWriter, id string) {
			if modern.Load() {
				refuse(w)
				return
			}
			w.Header().Set("Mcp-Session-Id", "1")
			answerJSON(w, 200, initialized(id))
		},
		answer: func(w http.ResponseWriter, r received) {
			if modern.Load() == (r.header.Get("Mcp-Session-Id") != "") {
				refuse(w)
				return
			}
			answerJSON(w, 200, result(r.id, `{}`))
		},
	}
}

func TestCorner5_34_UpstreamThatIsDeployedInAnotherEra(t *testing.T) {
	t.Parallel()
	var modern atomic.Bool
	h := twoFaced(&modern)
	s := newServer(t, remote(t, h))
	changed := make(chan string, 9)
	s.OnNotice(func(m *rpc.Message) { changed <- m.Method })
	call := func() rpc.Revision {
		return mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`))).revision
	}
	if got := call(); got != "2025-06-18" {
		t.Fatal(got)
	}
	modern.Store(true)
	if got := call(); got != mcp.LatestModern {
		t.Fatal(got)
	}
	if got := s.State(); got.Era != rpc.Modern || <-changed != mcp.ToolsChanged {
		t.Errorf("%+v", got)
	}
	// It has just said that it is modern: an answer that speaks against it is the server's affair.
	modern.Store(false)
	mustFail(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)), rpc.UpstreamFailed)
	s.links.open[linkKey{era: rpc.Modern}].link.(*modernHTTP).about.Load().at = time.Now().Add(-2 * eraPatience)
	if got := call(); got != "2025-06-18" {
		t.Fatal(got)
	}
	if got := s.State(); got.Era != rpc.Legacy || <-changed != mcp.ToolsChanged {
		t.Errorf("%+v", got)
	}
	if len(changed) != 0 {
		t.Errorf("%d further notices", len(changed))
	}
}

// What is subscribed to is subscribed to again, in the way of the new era.
func TestCorner5_34_SubscriptionsMoveWithTheEra(t *testing.T) {
	t.Parallel()
	var modern atomic.Bool
	h := twoFaced(&modern)
	const caps = `"capabilities":{"tools":{},"resources":{"subscribe":true}}`
	discover, initial, answer := h.discover, h.initial, h.answer
	h.discover = func(w http.ResponseWriter, id string) {
		if !modern.Load() {
			discover(w, id)
			return
		}
		answerJSON(w, 200, result(id, `{"resultType":"complete","supportedVersions":["2026-07-28"],`+caps+`}`))
	}
	h.initial = func(w http.ResponseWriter, id string) {
		if modern.Load() {
			initial(w, id)
			return
		}
		w.Header().Set("Mcp-Session-Id", "1")
		answerJSON(w, 200, result(id, `{"protocolVersion":"2025-06-18",`+caps+`}`))
	}
	h.answer = func(w http.ResponseWriter, r received) {
		if r.method != mcp.Listen {
			answer(w, r)
			return
		}
		answerEvents(w, event(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"resourceSubscriptions":["a:1"]}}}`))
		<-r.ctx.Done()
	}
	s := newServer(t, remote(t, h))
	agreed, err := s.Subscribe(t.Context(), []string{"a:1"})
	if err != nil || len(agreed) != 1 {
		t.Fatal(agreed, err)
	}
	subscribed := func(method string) int {
		n := 0
		for _, r := range h.find("POST", method) {
			if strings.Contains(r.body, "a:1") {
				n++
			}
		}
		return n
	}
	if n := subscribed(mcp.Subscribe); n != 1 {
		t.Fatalf("subscribed %d times", n)
	}
	modern.Store(true)
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
	eventually(t, "the modern server is listened to", func() bool { return subscribed(mcp.Listen) > 0 })
	modern.Store(false)
	s.links.open[linkKey{era: rpc.Modern}].link.(*modernHTTP).about.Load().at = time.Now().Add(-2 * eraPatience)
	mustRun(t, s, newCall(t, legacyClient(), toolCall("1", "x", `{}`)))
	eventually(t, "the legacy server is subscribed to again", func() bool { return subscribed(mcp.Subscribe) > 1 })
}

func TestCorner5_34_UpstreamThatTurnsToAndFroIsDoubtedLess(t *testing.T) {
	t.Parallel()
	var now turns
	at := time.Now()
	believed := map[rpc.Era]*eras{rpc.Modern: {modern: true}, rpc.Legacy: {legacy: true}}
	turn := func(from, to rpc.Era) bool {
		now.doubt(believed[from])
		return now.settle(to, at)
	}
	for i, want := range []time.Duration{eraPatience, 2 * eraPatience, 4 * eraPatience} {
		from, to := rpc.Modern, rpc.Legacy
		if i%2 == 1 {
			from, to = to, from
		}
		if !turn(from, to) {
			t.Fatal("the change was not seen")
		}
		if got := now.wait(); got != want {
			t.Errorf("after change %d: %v, want %v", i+1, got, want)
		}
	}
	for range 20 {
		turn(rpc.Modern, rpc.Legacy)
	}
	if got := now.wait(); got != maxEraPatience {
		t.Errorf("%v", got)
	}
	at = at.Add(3 * maxEraPatience)
	turn(rpc.Modern, rpc.Legacy)
	if got := now.wait(); got != eraPatience {
		t.Errorf("a change that comes late: %v", got)
	}
}

func TestCorner5_34_DoubtThatWasUnfoundedChangesNothing(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]*eras{
		"nothing known": nil, "the same": {modern: true}, "both": {modern: true, legacy: true}, "only supposed": {legacy: true, tentative: true},
	} {
		var now turns
		now.doubt(known)
		if now.settle(rpc.Modern, time.Now()) {
			t.Errorf("%s: taken for a change", name)
		}
	}
}
