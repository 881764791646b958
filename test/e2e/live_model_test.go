package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/admin/live"
	"github.com/headgate/headgate/test/fake/engine"
)

// An operator sees the call of a model while it runs, with what it has used, and ends it: its client is told, and the engine stops. One
// that follows the log is a stream.
func TestAnOperatorEndsTheCallOfAModel(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{TokenRate: 50})
	g := startGateway(t, engineModels(e.URL, "sim"))
	url := endpoint(g, "/rpc")
	follow := spoken(t, t.Context(), url, "", `{"id":"f","method":"logs","params":{}}`)
	next := spoken(t, t.Context(), url, "", `{"id":"s","method":"invoke","params":{"model":"sim","prompt":"hello","stream":true,"max_tokens":4000,"ignore_eos":true}}`)
	if next() == nil {
		t.Fatal("the model says nothing")
	}
	var calls admin.Part[live.Call]
	if status := operator(t, g, http.MethodGet, "/api/v1/calls", &calls); status != http.StatusOK || len(calls.Items) != 1 {
		t.Fatalf("%d: %+v", status, calls)
	}
	c := calls.Items[0]
	if c.Method != "invoke" || c.Target != "sim" || c.Usage == nil || c.Usage.Output < 1 || !c.Usage.Estimated || c.Request == "s" || c.Request == "" || !c.Stoppable {
		t.Errorf("operators see %+v, used %+v", c, c.Usage)
	}
	var streams admin.Part[live.Call]
	if operator(t, g, http.MethodGet, "/api/v1/streams", &streams); len(streams.Items) != 1 || streams.Items[0].Method != "logs" {
		t.Errorf("streams %+v", streams)
	}
	if status := operator(t, g, http.MethodDelete, "/api/v1/calls/"+c.ID, nil); status != http.StatusNoContent {
		t.Fatalf("cancelled with %d", status)
	}
	var last map[string]any
	for object := next(); object != nil; object = next() {
		last = object
	}
	failure, _ := last["error"].(map[string]any)
	if fmt.Sprint(failure["code"]) != "-32009" || !strings.Contains(jsonOf(t, failure["data"]), c.Request) {
		t.Errorf("the client is told %v, the call is %s", last, c.Request)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if all := e.Ledger(); all[0].Aborted && all[0].Settled {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the engine goes on: %+v", e.Ledger())
		}
	}
	var entry struct {
		Result struct {
			Entry struct {
				Request string `json:"request_id"`
				Status  string `json:"status"`
			} `json:"entry"`
		} `json:"result"`
	}
	for entry.Result.Entry.Request != c.Request {
		text, err := json.Marshal(follow())
		if err != nil || string(text) == "null" || json.Unmarshal(text, &entry) != nil {
			t.Fatalf("the log ends: %s %v", text, err)
		}
	}
	if entry.Result.Entry.Status != "stopped" {
		t.Errorf("the log says %+v", entry)
	}
}
