package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/admin/live"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
)

// operator sends a request to the operators' listener, and reads the answer into out, if that is not nil.
func operator(t testing.TB, g *gateway.Gateway, method, path string, out any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.AdminAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if out == nil {
		return res.StatusCode
	}
	text, err := io.ReadAll(res.Body)
	if err == nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		t.Fatalf("%s %s: %s %v: %s", method, path, res.Status, err, text)
	}
	return res.StatusCode
}

// inFlight waits until so many calls are in flight, each with its upstream, and returns them.
func inFlight(t testing.TB, g *gateway.Gateway, n int) []live.Call {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var calls admin.Part[live.Call]
		operator(t, g, "GET", "/api/v1/calls", &calls)
		if len(calls.Items) == n && !slices.ContainsFunc(calls.Items, func(c live.Call) bool { return c.Phase != "upstream" }) {
			return calls.Items
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d calls in flight, want %d: %+v", len(calls.Items), n, calls.Items)
		}
	}
}

// neverAnswering is a tool that does not answer, and tells when a call of it has begun and when it was cancelled.
func neverAnswering() (tool fake.Tool, begun, cancelled chan string) {
	begun, cancelled = make(chan string, 8), make(chan string, 8)
	return fake.Tool{Name: "hang", Behaviour: func(ctx context.Context, c *fake.Call) ([]byte, error) {
		begun <- c.Name
		<-ctx.Done()
		cancelled <- c.Name
		return nil, ctx.Err()
	}}, begun, cancelled
}

// A call that hangs is listed with all that is known of it, and can be cancelled by an operator: its client gets an error
// that says so, its server a cancel, and what it held is free again. Each era on both sides.
func TestAnOperatorCancelsACall(t *testing.T) {
	t.Parallel()
	tool, begun, cancelled := neverAnswering()
	_, modern := fakeUpstream(t, fake.Config{Eras: fake.Modern, Tools: []fake.Tool{tool}})
	_, old := fakeUpstream(t, fake.Config{Eras: fake.Legacy, Tools: []fake.Tool{tool}})
	section, key := bearers(bearer{id: "young"}, bearer{id: "old"})
	g := startGateway(t, section+"limits: [{name: slots, scope: key, unit: in_flight, tool: \"*__hang\", limit: 1}]\nupstreams:\n"+
		httpUpstream("modern", modern)+httpUpstream("legacy", old)+stdioUpstream("child", stdioServer(t)))
	young, aged := modernKey(t, g, key["young"]), legacyKey(t, g, key["old"])
	for _, client := range []keyholder{young, aged} {
		for _, upstream := range []string{"modern", "legacy", "child"} {
			name := map[bool]string{true: "modern", false: "legacy"}[client.modern] + " to " + upstream
			answered := make(chan string, 1)
			go func() {
				body, headers := client.request(7, upstream+"__hang", `{}`)
				res, err := client.send(t.Context(), body, headers)
				if err != nil {
					answered <- err.Error()
					return
				}
				defer res.Body.Close()
				text, err := io.ReadAll(res.Body)
				if err != nil {
					text = []byte(err.Error())
				}
				answered <- message(res, string(text))
			}()
			if upstream != "child" {
				<-begun
			}
			call := inFlight(t, g, 1)[0]
			if call.Method != "tools/call" || call.Target != upstream+"__hang" || call.Upstream != upstream || call.Request != "7" || !call.Stoppable ||
				call.Principal.Key == "" || call.Age <= 0 || (call.Session == "") != client.modern || strings.Contains(call.Session, client.session+"x") {
				t.Errorf("%s: %+v", name, call)
			}
			var limits admin.Part[admin.Limit]
			operator(t, g, "GET", "/api/v1/limits", &limits)
			if !slotIs(limits.Items, 1) {
				t.Errorf("%s: no slot is taken: %+v", name, limits.Items)
			}
			if status := operator(t, g, "DELETE", "/api/v1/calls/"+call.ID, nil); status != http.StatusNoContent {
				t.Fatalf("%s: %d", name, status)
			}
			if got := <-answered; !strings.Contains(got, `"message":"cancelled by an operator"`) || !strings.Contains(got, `"id":7`) {
				t.Errorf("%s: the client got %s", name, got)
			}
			if upstream != "child" {
				<-cancelled
			}
			inFlight(t, g, 0)
			operator(t, g, "GET", "/api/v1/limits", &limits)
			if slotIs(limits.Items, 1) {
				t.Errorf("%s: the slot is still taken: %+v", name, limits.Items)
			}
			var recent admin.Part[live.Ended]
			operator(t, g, "GET", "/api/v1/recent?limit=1", &recent)
			if last := recent.Items[0]; last.ID != call.ID || last.Outcome != "stopped" || last.Timing.Upstream <= 0 || last.Timing.Total < last.Timing.Upstream {
				t.Errorf("%s: remembered as %+v", name, last)
			}
			if status := operator(t, g, "DELETE", "/api/v1/calls/"+call.ID, nil); status != http.StatusNotFound {
				t.Errorf("%s: once more: %d", name, status)
			}
		}
	}
}

// slotIs reports whether somebody has so many slots of a limit.
func slotIs(limits []admin.Limit, used float64) bool {
	for _, l := range limits {
		if l.Used == used && l.Unit == "in_flight" {
			return true
		}
	}
	return false
}

// What an operator sees of sessions, streams and upstreams, and that a session can be ended.
func TestAnOperatorSeesAndEndsASession(t *testing.T) {
	t.Parallel()
	_, url := fakeUpstream(t, fake.Config{})
	g := startGateway(t, "upstreams:\n"+httpUpstream("one", url))
	client := legacy(t, endpoint(g, "/mcp"), `{}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, client.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Mcp-Session-Id", client.session)
	stream, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()

	var sessions admin.Part[admin.Session]
	var streams admin.Part[live.Call]
	var upstreams admin.Part[admin.Upstream]
	var overview admin.Overview
	operator(t, g, "GET", "/api/v1/sessions", &sessions)
	operator(t, g, "GET", "/api/v1/streams", &streams)
	operator(t, g, "GET", "/api/v1/upstreams", &upstreams)
	operator(t, g, "GET", "/api/v1/overview", &overview)
	if len(sessions.Items) != 1 || len(streams.Items) != 1 || len(upstreams.Items) != 1 {
		t.Fatalf("%+v\n%+v\n%+v", sessions, streams, upstreams)
	}
	s, u := sessions.Items[0], upstreams.Items[0]
	if s.Client != "raw" || s.Revision != "2025-11-25" || s.Streams != 1 || strings.Contains(client.session, s.ID) {
		t.Errorf("%+v", s)
	}
	if st := streams.Items[0]; st.Phase != "open" || st.Method != "session/stream" || st.Session != s.ID {
		t.Errorf("%+v", st)
	}
	if u.Name != "one" || u.State != "up" || u.Era != "modern" || u.Tools != 1 || u.Transport != "http" {
		t.Errorf("%+v", u)
	}
	if overview.Version != "test" || !overview.Ready || overview.Sessions != 1 || overview.Streams != 1 || overview.Calls != 0 || overview.Goroutines == 0 || overview.Memory == 0 {
		t.Errorf("%+v", overview)
	}
	if status := operator(t, g, "DELETE", "/api/v1/sessions/"+s.ID, nil); status != http.StatusNoContent {
		t.Fatal(status)
	}
	if _, err := io.ReadAll(stream.Body); err != nil { // it ends
		t.Error(err)
	}
	if res, body := client.post(`{"jsonrpc":"2.0","id":1,"method":"ping"}`, nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("the session goes on: %s %s", res.Status, body)
	}
	if status := operator(t, g, "DELETE", "/api/v1/sessions/"+s.ID, nil); status != http.StatusNotFound {
		t.Errorf("once more: %d", status)
	}
}

// The event stream shows a snapshot, then what changes, and ends when the gateway stops.
func TestTheEventStreamEndsAtShutdown(t *testing.T) {
	t.Parallel()
	tool, begun, _ := neverAnswering()
	_, url := fakeUpstream(t, fake.Config{Tools: []fake.Tool{tool}})
	g := startForStop(t, "{grace: 0s, drain: 0s}", httpUpstream("one", url))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+g.AdminAddr()+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	event := func() (kind string, data map[string]json.RawMessage) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
			case "event":
				kind = value
			case "data":
				if err := json.Unmarshal([]byte(value), &data); err != nil {
					t.Fatal(err)
				}
				return kind, data
			}
		}
	}
	kind, data := event()
	for _, section := range []string{"overview", "upstreams", "models", "calls", "streams", "connections", "sessions", "limits", "recent"} {
		if data[section] == nil {
			t.Errorf("the %s has no %s", kind, section)
		}
	}
	client := &raw{t: t, url: endpoint(g, "/mcp")}
	go func() {
		res, err := client.send(t.Context(), `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"one__hang","arguments":{},`+modernMeta+`}}`,
			modernHeaders("tools/call", "one__hang"))
		if err == nil {
			_ = res.Body.Close()
		}
	}()
	<-begun
	for {
		kind, data = event()
		if kind != "delta" || data["upstreams"] != nil && data["connections"] != nil {
			t.Fatalf("%s %s", kind, data)
		}
		if strings.Contains(string(data["calls"]), `"one__hang"`) {
			break
		}
	}
	stopped := stopping(t, g)
	if _, err := io.ReadAll(lines); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
	<-stopped // it tells that a call was cut off
}

// A call that waits for its turn is shown as such, and can be cancelled there; so can a connection with all that is on it.
func TestAnOperatorSeesWhoWaits(t *testing.T) {
	t.Parallel()
	tool, begun, cancelled := neverAnswering()
	_, url := fakeUpstream(t, fake.Config{Tools: []fake.Tool{tool}})
	g := startGateway(t, "upstreams:\n  one: {url: \""+url+"\", max_in_flight: 1}\n")
	socket, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+g.Addr()+"/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	defer res.Body.Close()
	call := func(id string) {
		t.Helper()
		if err := socket.WriteMessage(websocket.TextMessage, []byte(`{"jsonrpc":"2.0","id":`+id+`,"method":"tools/call","params":{"name":"one__hang","arguments":{},`+modernMeta+`}}`)); err != nil {
			t.Fatal(err)
		}
	}
	call("1")
	<-begun
	call("2")
	var waiting live.Call
	for deadline := time.Now().Add(20 * time.Second); waiting.Phase != "queued"; time.Sleep(5 * time.Millisecond) {
		var calls admin.Part[live.Call]
		operator(t, g, "GET", "/api/v1/calls", &calls)
		if len(calls.Items) == 2 {
			waiting = calls.Items[1]
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody waits: %+v", calls.Items)
		}
	}
	var upstreams admin.Part[admin.Upstream]
	operator(t, g, "GET", "/api/v1/upstreams", &upstreams)
	if q := upstreams.Items[0].Queue; waiting.Waits != "one" || waiting.Request != "2" || q == nil || q.Limit != 1 || q.InFlight != 1 || q.Waiting != 1 || len(q.Tenants) != 1 {
		t.Errorf("%+v\n%+v", waiting, q)
	}
	if status := operator(t, g, "DELETE", "/api/v1/calls/"+waiting.ID, nil); status != http.StatusNoContent {
		t.Fatal(status)
	}
	if _, text, err := socket.ReadMessage(); err != nil || !strings.Contains(string(text), "cancelled by an operator") || !strings.Contains(string(text), `"id":2`) {
		t.Errorf("%v: %s", err, text)
	}
	var connections admin.Part[admin.Connection]
	operator(t, g, "GET", "/api/v1/connections", &connections)
	if len(connections.Items) != 1 || connections.Items[0].Transport != "websocket" || connections.Items[0].InFlight != 1 {
		t.Fatalf("%+v", connections)
	}
	if status := operator(t, g, "DELETE", "/api/v1/connections/"+connections.Items[0].ID, nil); status != http.StatusNoContent {
		t.Fatal(status)
	}
	<-cancelled
	for err = nil; err == nil; {
		_, _, err = socket.ReadMessage()
	}
	inFlight(t, g, 0)
}

// A call that waits for its client to come back is shown, and an operator can end it: what it held is free, and the client
// that comes back is told that there is nothing to go on with.
func TestAnOperatorEndsAParkedCall(t *testing.T) {
	t.Parallel()
	g := startGateway(t, "limits: [{name: slots, scope: ip, unit: in_flight, tool: asker__greet, limit: 1}]\nupstreams:\n"+httpUpstream("asker", askingServer(t, false)))
	meta := strings.Replace(modernMeta, `"io.modelcontextprotocol/clientCapabilities":{}`, `"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"roots":{},"sampling":{}}`, 1)
	r := &raw{t: t, url: endpoint(g, "/mcp")}
	body := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"asker__greet","arguments":{},` + meta + `}}`
	for range 2 { // the second has the slot of the first
		if res, parked := r.post(body, modernHeaders("tools/call", "asker__greet")); !strings.Contains(parked, "input_required") {
			t.Fatalf("%s: %s", res.Status, parked)
		}
		var calls admin.Part[live.Call]
		operator(t, g, "GET", "/api/v1/calls", &calls)
		if len(calls.Items) != 1 || calls.Items[0].Phase != "parked" || calls.Items[0].Target != "asker__greet" || calls.Items[0].Waits == "" {
			t.Fatalf("%+v", calls)
		}
		if status := operator(t, g, "DELETE", "/api/v1/calls/"+calls.Items[0].ID, nil); status != http.StatusNoContent {
			t.Fatal(status)
		}
		operator(t, g, "GET", "/api/v1/calls", &calls)
		if len(calls.Items) != 0 || operator(t, g, "GET", "/api/v1/overview", nil) != http.StatusOK {
			t.Errorf("it is still there: %+v", calls)
		}
	}
}
