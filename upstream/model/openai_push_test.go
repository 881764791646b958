package model_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream/model"
)

// said is an event with a text, as most are.
func said(text string) string {
	return fmt.Sprintf("data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q},\"finish_reason\":null}]}\n\n", text)
}

// inPieces serves a stream in pieces of up to so many bytes; 0 for one piece per event. It is cut off at the end if it says so.
func inPieces(tb testing.TB, events []string, most int, seed uint64, cut bool) string {
	tb.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		pieces, dice := events, rand.New(rand.NewPCG(seed, 1))
		if most > 0 {
			pieces = nil
			for left := strings.Join(events, ""); left != ""; {
				n := min(1+dice.IntN(most), len(left))
				pieces, left = append(pieces, left[:n]), left[n:]
			}
		}
		for _, p := range pieces {
			_, _ = io.WriteString(w, p)
			_ = http.NewResponseController(w).Flush()
			if dice.IntN(4) == 0 {
				time.Sleep(200 * time.Microsecond) // long enough for a read to wait
			}
		}
		if cut {
			panic(http.ErrAbortHandler)
		}
	}))
	tb.Cleanup(server.Close)
	return server.URL + "/v1"
}

// Whoever has an answer pushed gets what he would get by pulling it.
func TestPushedAnswersAreThoseThatArePulled(t *testing.T) {
	t.Parallel()
	var words []string
	for i := range 60 {
		words = append(words, said(fmt.Sprint(" word ", i)))
	}
	end := "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":60}}\n\ndata: [DONE]\n\n"
	with := func(event string, at int) []string {
		return append(append(append([]string{}, words[:at]...), event), append(append([]string{}, words[at:]...), end)...)
	}
	for name, tt := range map[string]struct {
		events []string
		cut    bool
	}{
		"words":               {events: append(append([]string{}, words...), end)},
		"cut":                 {events: words, cut: true},
		"cut in an event":     {events: append(append([]string{}, words...), said("more")[:30]), cut: true},
		"no end":              {events: words},
		"a comment":           {events: with(": ping\n\n", 30)},
		"a comment before":    {events: with(": ping\n", 30)},
		"a name":              {events: with("event: message\n"+said("named"), 30)},
		"carriage returns":    {events: with(strings.ReplaceAll(said("returned"), "\n", "\r\n"), 30)},
		"only line ends":      {events: with("\n\n\n", 30)},
		"two lines of data":   {events: with(strings.Replace(said("two lines"), ",", ",\ndata: ", 1), 30)},
		"no space":            {events: with(strings.Replace(said("close"), "data: ", "data:", 1), 30)},
		"another form":        {events: with(strings.Replace(said("other"), `"x"`, `"yy"`, 1), 30)},
		"a long one":          {events: with(said(strings.Repeat("long ", 3000)), 30)},
		"escapes":             {events: with(said("a \"quoted\" \\ one\n"), 30)},
		"an error":            {events: with("data: {\"error\":{\"message\":\"no\"}}\n\n", 30)},
		"no JSON":             {events: with("data: {\n\n", 30)},
		"the end in between":  {events: with("data: [DONE]\n\n", 30)},
		"a choice of another": {events: with(strings.Replace(said("second"), `"index":0`, `"index":1`, 1), 30)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed, most := range []int{0, 40, 300, 5000} {
				b := backend(t, config.ModelBackend{Kind: "openai", URL: inPieces(t, tt.events, most, uint64(seed), tt.cut)})
				const params = `{"model":"default","prompt":"a","stream":true}`
				want := ask(t.Context(), t, b, invoke(t, params))
				got := askFor(t.Context(), t, answer{pushed: true}, b, invoke(t, params))
				if tt.cut { // what was used depends on how long it took
					want.Usage = got.Usage
				}
				alike := cmp.Comparer(func(a, b *rpc.Error) bool { return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error()) })
				if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(answer{}), alike); diff != "" {
					t.Errorf("in pieces of %d: %s", most, diff)
				}
				if most == 0 && got.given < 20 {
					t.Errorf("%d of %d chunks were pushed", got.given, len(got.Chunks))
				}
				if len(want.Chunks) < 25 {
					t.Errorf("%d chunks: %v", len(want.Chunks), want.Err)
				}
			}
		})
	}
}

// A call can be ended by others while its last chunk is in use, and what still comes is read for its usage then.
func TestAChunkStaysWhileTheRestIsWoundUp(t *testing.T) {
	t.Parallel()
	var events []string
	for i := range 200 {
		events = append(events, said(fmt.Sprint(" word ", i)))
	}
	b := backend(t, config.ModelBackend{Kind: "openai", URL: inPieces(t, events, 0, 1, false)})
	for range 10 {
		endWhileInUse(t, b)
	}
}

func endWhileInUse(t *testing.T, b model.Backend) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := invoke(t, `{"model":"default","prompt":"a","stream":true}`)
	reply, err := b.Handle(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close() //nolint:errcheck // its end is what the test is about
	var m *rpc.Message
	for range 5 {
		if m, err = reply.Next(); err != nil {
			t.Fatal(err)
		}
	}
	text := string(m.Params)
	cancel()
	for c.Record.Progress().Attempts[0].Ended == 0 {
		if string(m.Params) != text {
			t.Fatalf("%s became %s", text, m.Params)
		}
	}
}

// The time between two parts counts anew with each of them, also where they are pushed past who keeps the deadlines.
func TestTheDeadlineBetweenPartsThatArePushed(t *testing.T) {
	t.Parallel()
	const words, every, between = 6, 300 * time.Millisecond, time.Second
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range words {
			_, _ = io.WriteString(w, said(fmt.Sprint(" word ", i)))
			_ = http.NewResponseController(w).Flush()
			time.Sleep(every)
		}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	cfg := modelOf(nil, 0, func(m *config.Model) {
		m.Backends = []config.ModelBackend{{Kind: "openai", URL: server.URL + "/v1", Weight: 1}}
		m.Deadlines.BetweenTokens, m.WarmUp.At = between, "never"
	})
	p := poolOf(t, cfg, func(b config.ModelBackend) (model.Backend, error) { return backend(t, b), nil })
	defer p.Close() //nolint:errcheck // nothing could fail
	began := time.Now()
	reply, err := p.Handle(t.Context(), streamed(t, "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Close() //nolint:errcheck // its end is what the test is about
	got := answer{pushed: true}
	err = got.read(t, reply)
	data, _ := rpc.AsError(err).Data.(map[string]any)
	if len(got.Chunks) != words || got.given < words-2 || data["deadline"] != "between_tokens" {
		t.Errorf("%d chunks, of which %d were pushed, then %v", len(got.Chunks), got.given, err)
	}
	if took, least := time.Since(began), (words-1)*every+between; took < least || took > least+5*time.Second {
		t.Errorf("it took %v", took)
	}
}
