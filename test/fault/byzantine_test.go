package fault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// tagged finds what belongs to a caller in a text: nonces are the letter of the caller and the number of the round.
var tagged = regexp.MustCompile(`caller([A-Z])n([0-9]+)`)

// TestT25_ByzantineUpstream lets upstreams do one misdeed after the other to pairs of callers that call at once. Whatever
// the upstream does, each request gets one terminal message, nobody gets anything of another caller, the upstream
// serves the next call, and in the end no goroutine is left.
func TestT25_ByzantineUpstream(t *testing.T) {
	runs := times(4, 100)
	var calls atomic.Int64
	row := &Row{
		ID: "T25", What: "Byzantine upstream: each request gets one terminal message, nothing of another caller, and the next call works",
		Count: fmt.Sprintf("%d misdeeds × %d rounds of two callers for each transport and era", len(misdeeds())+len(listDeeds()), runs),
	}
	enter(t, row)
	for _, on := range []way{httpLegacy, httpModern, stdioLegacy, stdioModern} {
		for _, deed := range misdeeds() {
			if deed.on&on != 0 {
				t.Run(on.String()+"/"+deed.name, func(t *testing.T) { byzantine(t, on, deed, runs, &calls) })
			}
		}
	}
	row.Figures = fmt.Sprintf("%d calls", calls.Load())
}

func byzantine(t *testing.T, on way, deed misdeed, runs int, calls *atomic.Int64) {
	leakless(t)
	url, command := "", self("hostile", deed.name, map[bool]string{true: "modern", false: "legacy"}[on.modern()])
	var server *hostileHTTP
	if !on.stdio() {
		server = serveHostile(t, &deed, on.modern())
		url, command = server.url(), nil
	}
	era := map[bool]string{true: "modern", false: "legacy"}[on.modern()]
	timeout := "10s"
	if deed.slow {
		timeout = "2s" // an innocent call must be answered within it on a loaded machine
	}
	// What a breaker makes of it is F19's; here each call has to meet the misdeed.
	g := startGateway(t, "bounds: {result: 64KiB}\nupstreams:\n"+upstreamEntry("evil", era, url, command, "timeout: "+timeout, "breaker: {failures: 0}"))
	capabilities := "{}"
	if deed.asks {
		capabilities = `{"elicitation":{}}`
	}
	pairs := 2
	if deed.slow {
		pairs = 8 // most of the time goes by in waiting
	}
	var callers []*caller
	for i := range 2 * pairs {
		modern := i/2%2 == 1 && !deed.sessions
		c := newClient(t, "http://"+g.Addr()+"/mcp", modern, capabilities)
		k := &caller{client: c, name: string(rune('A' + i)), deed: deed, stdio: on.stdio(), calls: calls}
		if !modern {
			k.aside = c.listen()
		}
		callers = append(callers, k)
	}
	var all sync.WaitGroup
	for first := range pairs {
		all.Go(func() {
			for round := first; round < runs && !t.Failed(); round += pairs {
				var both sync.WaitGroup
				both.Go(func() { callers[2*first].round(t, round) })
				callers[2*first+1].round(t, round)
				both.Wait()
			}
		})
	}
	all.Wait()
	for _, k := range callers {
		for _, m := range k.aside.all() {
			if !strings.HasSuffix(m.Method, "/list_changed") {
				k.innocent(t, m, "")
			}
		}
	}
	if server != nil && server.strayed.Load() > 0 {
		t.Errorf("%d requests named a session that was never opened", server.strayed.Load())
	}
}

// caller is a client that a misdeed is done to.
type caller struct {
	*client
	name  string
	deed  misdeed
	stdio bool
	aside *heard // the session's own stream; nil for modern clients
	calls *atomic.Int64
}

// round makes an innocent call, one that the misdeed is done to, and another innocent one.
func (k *caller) round(t *testing.T, n int) {
	innocent := answered
	if k.deed.end != nil {
		innocent = either // another caller's process ends under it
	}
	k.one(t, "plain", n*3, innocent)
	k.one(t, "hostile", n*3+1, k.deed.fate)
	k.one(t, "plain", n*3+2, innocent)
}

func (k *caller) one(t *testing.T, tool string, n int, want fate) {
	nonce := fmt.Sprintf("caller%sn%d", k.name, n)
	id, all, err := k.call(t.Context(), "evil__"+tool, fmt.Sprintf(`"arguments":{"nonce":%q}`, nonce), `"progressToken":7`, nil)
	k.calls.Add(1)
	if err != nil {
		t.Errorf("%s %s: the answer broke off: %v", tool, nonce, err)
	}
	terminals, progress := 0, -1e9
	for _, m := range all {
		switch m.Method {
		case "notifications/progress":
			var p struct{ Progress float64 }
			if json.Unmarshal(m.Params, &p) != nil || p.Progress < progress {
				t.Errorf("%s: progress went back: %s", nonce, m.text)
			}
			progress = p.Progress
		case "":
			terminals++
			k.judge(t, m, id, nonce, want)
		}
		k.innocent(t, m, nonce)
	}
	if terminals != 1 {
		t.Errorf("%s %s: %d terminal messages: %v", tool, nonce, terminals, texts(all))
	}
}

// judge compares a terminal message with what must come of the call.
func (k *caller) judge(t *testing.T, m message, id int64, nonce string, want fate) {
	if string(m.ID) != fmt.Sprint(id) {
		t.Errorf("%s: id %s, want %d", nonce, m.ID, id)
	}
	asked := k.deed.echoes && bytes.Contains(m.Result, []byte(`"input_required"`))
	right := strings.Contains(m.text, `"ok `+nonce+`"`) || asked
	switch {
	case (m.Result == nil) == (m.Error == nil):
		t.Errorf("%s: result and error: %s", nonce, m.text)
	case want == answered && !right, want == failed && m.Error == nil, m.Result != nil && !right:
		t.Errorf("%s: got %s", nonce, m.text)
	}
}

// innocent fails the test if a message holds what is another's, or nobody's. The nonce is that of the call that it came for.
func (k *caller) innocent(t *testing.T, m message, nonce string) {
	for _, found := range tagged.FindAllStringSubmatch(m.text, -1) {
		if found[1] != k.name || k.modern && found[0] != nonce {
			t.Errorf("%s of caller %s got another's: %s", nonce, k.name, m.text)
		}
	}
	question := m.Method != "" && m.ID != nil
	if !k.deed.echoes && (question || strings.Contains(m.text, "poison")) {
		t.Errorf("%s: the client was told %s", nonce, m.text)
	}
}

func texts(all []message) (out []string) {
	for _, m := range all {
		out = append(out, m.text)
	}
	return out
}

// heard is what came on a stream. Nil is a stream that was never opened.
type heard struct {
	mu       sync.Mutex
	messages []message
}

func (h *heard) add(m message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages = append(h.messages, m)
}

func (h *heard) all() []message {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]message(nil), h.messages...)
}
