package edge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/router/session"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
)

// Corner case 5.26: batches, which revision 2025-03-26 alone has.

const batchRevision = "2025-03-26"

// sessionOf opens a session of a revision and returns the header that bears it.
func (g *gate) sessionOf(revision string) []string {
	g.tb.Helper()
	a := g.do("POST", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"`+revision+`","capabilities":{}}}`)
	id := a.header.Get("Mcp-Session-Id")
	if id == "" {
		g.tb.Fatalf("initialize: %d %s", a.status, a.body)
	}
	return []string{"Mcp-Session-Id", id}
}

// outcomes maps the ids of the responses in texts to "result" or the error's code.
func outcomes(tb testing.TB, texts ...string) map[string]string {
	tb.Helper()
	out := map[string]string{}
	for _, text := range texts {
		f := failureOf(tb, text)
		outcome := "result"
		if f.Error != nil {
			outcome = strconv.FormatInt(f.Error.Code, 10)
		}
		if key := string(f.ID); out[key] != "" {
			out[key] += "," + outcome
		} else {
			out[key] = outcome
		}
	}
	return out
}

func elements(tb testing.TB, body string) []string {
	tb.Helper()
	var items []json.RawMessage
	if err := json.Unmarshal([]byte(body), &items); err != nil {
		tb.Fatalf("body %q: %v", body, err)
	}
	var out []string
	for _, item := range items {
		out = append(out, string(item))
	}
	return out
}

func TestCorner5_26_BatchAnswersEachRequestOnce(t *testing.T) {
	t.Parallel()
	g := open(t, setup{session: session.Config{InFlight: 3}})
	notice := `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	response := `{"jsonrpc":"2.0","id":99,"result":{}}`
	tests := map[string]struct {
		batch []string
		want  map[string]string
	}{
		"requests":               {[]string{request("1", "ping"), request(`"a"`, "ping")}, map[string]string{"1": "result", `"a"`: "result"}},
		"with a notification":    {[]string{notice, request("1", "ping")}, map[string]string{"1": "result"}},
		"with an answer":         {[]string{response, request("1", "ping")}, map[string]string{"1": "result"}},
		"items that are invalid": {[]string{"1", `{"jsonrpc":"1.0","method":"ping"}`, "[]", request("1", "ping")}, map[string]string{"null": "-32600,-32600,-32600", "1": "result"}},
		"a repeated name":        {[]string{`{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`}, map[string]string{"null": "-32600"}},
		"initialize":             {[]string{request("1", "initialize"), request("2", "ping")}, map[string]string{"1": "-32600", "2": "result"}},
		"notification with id":   {[]string{request("1", "notifications/initialized")}, map[string]string{"1": "-32600"}},
		"modern method":          {[]string{request("1", "server/discover")}, map[string]string{"1": "-32601"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := g.do("POST", "["+strings.Join(test.batch, ",")+"]", g.sessionOf(batchRevision)...)
			if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
				t.Fatalf("status %d, %s", a.status, a.body)
			}
			if diff := cmp.Diff(test.want, outcomes(t, elements(t, a.body)...)); diff != "" {
				t.Errorf("responses (-want +got):\n%s\n%s", diff, a.body)
			}
		})
	}
}

func TestCorner5_26_BatchWithoutRequestsIsAccepted(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	a := g.do("POST", `[{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":5,"result":{}}]`, g.sessionOf(batchRevision)...)
	if a.status != http.StatusAccepted || a.body != "" {
		t.Errorf("answer %d %q, want 202 and nothing", a.status, a.body)
	}
}

// refusedBatches are arrays that are no batches, whatever they come over.
var refusedBatches = map[string]struct {
	revision, body string
	code           int64
}{
	"empty":                {batchRevision, "[]", -32600},
	"too many":             {batchRevision, "[" + strings.Repeat(request("1", "ping")+",", 50) + request("1", "ping") + "]", -32600},
	"a thousand":           {batchRevision, "[" + strings.Repeat(request("1", "ping")+",", 999) + request("1", "ping") + "]", -32600},
	"in the newest":        {"2025-11-25", "[" + request("1", "ping") + "]", -32600},
	"cut off":              {batchRevision, "[" + request("1", "ping"), -32700},
	"text behind it":       {batchRevision, "[" + request("1", "ping") + "] x", -32700},
	"in a later revision":  {"2025-06-18", "[" + request("1", "ping") + "]", -32600},
	"in an older revision": {"2024-11-05", "[" + request("1", "ping") + "]", -32600},
}

// Corner case 5.26.
func TestT22_BatchIsRefused(t *testing.T) {
	t.Parallel()
	g := open(t, setup{})
	for name, test := range refusedBatches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := g.do("POST", test.body, g.sessionOf(test.revision)...)
			if f := failureOf(t, a.body); a.status != http.StatusBadRequest || f.Error == nil || f.Error.Code != test.code || string(f.ID) != "null" {
				t.Errorf("answer %d %s, want 400 with code %d", a.status, a.body, test.code)
			}
		})
	}
}

// A batch's requests run beside each other: the first is answered after the last.
func TestCorner5_26_BatchRunsConcurrently(t *testing.T) {
	t.Parallel()
	last := make(chan struct{})
	g := open(t, setup{handle: func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		switch c.Message.ID.Raw() {
		case "1":
			select {
			case <-last:
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		case "2":
			close(last)
		}
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
	}})
	a := g.do("POST", "["+request("1", "ping")+","+request("2", "ping")+"]", g.sessionOf(batchRevision)...)
	if diff := cmp.Diff(map[string]string{"1": "result", "2": "result"}, outcomes(t, elements(t, a.body)...)); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
}

// What comes before a response makes the answer a stream, in which each response is an
// event of its own.
func TestCorner5_26_BatchWithProgressIsAStream(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		messages := make(chan *rpc.Message, 2)
		messages <- rpc.NewNotification("notifications/progress", []byte(`{"progressToken":1,"progress":1}`))
		messages <- rpc.NewResult(c.Message.ID, []byte(`{}`))
		return rpc.NewReply(play(ctx, messages, nil)), nil
	}})
	a := g.do("POST", "["+request("1", "tools/call")+","+request("2", "tools/call")+"]", g.sessionOf(batchRevision)...)
	var responses []string
	progress := 0
	for _, ev := range a.events {
		if strings.Contains(ev, "notifications/progress") {
			progress++
			continue
		}
		responses = append(responses, ev)
	}
	if progress != 2 {
		t.Errorf("%d progress notifications, want 2", progress)
	}
	if diff := cmp.Diff(map[string]string{"1": "result", "2": "result"}, outcomes(t, responses...)); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
}

// A batch may answer what servers ask, beside requests of its own.
func TestCorner5_26_BatchHoldsAnswersToQuestions(t *testing.T) {
	t.Parallel()
	calls := make(chan *running, 2)
	g := open(t, setup{handle: held(calls)})
	bearer := g.sessionOf(batchRevision)
	answered := make(chan *http.Response, 1)
	go func() { answered <- g.send(t.Context(), "POST", request("7", "x/y"), bearer...) }()
	asking := <-calls
	asking.messages <- rpc.NewRequest(rpc.NumberID(1), "roots/list", nil)
	stream := <-answered
	defer stream.Body.Close()
	ev, err := frame.NewSSEReader(stream.Body, 1<<20).Next()
	if err != nil {
		t.Fatal(err)
	}
	q, err := rpc.Parse(bytes.Clone(ev.Data), rpc.Limits{})
	if err != nil || q.Method != "roots/list" {
		t.Fatalf("%s: %v", ev.Data, err)
	}
	_, batch := g.start(`[{"jsonrpc":"2.0","id":`+q.ID.Raw()+`,"result":{"roots":[]}},`+request("8", "x/z")+`]`, bearer...)
	if got := <-asking.answers; got.ID.Raw() != "1" || string(got.Result) != `{"roots":[]}` {
		t.Errorf("the server heard %s %s", got.ID.Raw(), got.Result)
	}
	(<-calls).messages <- rpc.NewResult(rpc.NumberID(8), []byte(`{}`))
	if a := <-batch; a.body != `[{"jsonrpc":"2.0","id":8,"result":{}}]` {
		t.Errorf("the batch is answered %s", a.body)
	}
	asking.messages <- result(`{}`)
}

// A cancellation finds a request that stands before it in the same batch.
func TestCorner5_26_BatchCancelsWithin(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(ctx context.Context, _ *rpc.Call) (*rpc.Reply, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}})
	cancel := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
	a := g.do("POST", "["+request("1", "tools/call")+","+cancel+"]", g.sessionOf(batchRevision)...)
	if diff := cmp.Diff(map[string]string{"1": "106"}, outcomes(t, elements(t, a.body)...)); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}
}
