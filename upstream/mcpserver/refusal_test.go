package mcpserver

import (
	"net/http"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// TestAForeignMethodThatIsRefusedByAStatus is about servers that answer a method they do not have with a status and no
// message: to the client, it is a method that is not there.
func TestAForeignMethodThatIsRefusedByAStatus(t *testing.T) {
	t.Parallel()
	const (
		foreign = `{"jsonrpc":"2.0","id":1,"method":"vendor/thing","params":{"_meta":{` + modernMeta + `}}}`
		core    = `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"_meta":{` + modernMeta + `}}}`
	)
	for _, test := range []struct {
		name    string
		message string
		status  int
		want    rpc.Code
	}{
		{"bad request", foreign, http.StatusBadRequest, rpc.MethodNotFound},
		{"no such page", foreign, http.StatusNotFound, rpc.MethodNotFound},
		{"not allowed", foreign, http.StatusMethodNotAllowed, rpc.MethodNotFound},
		{"not implemented", foreign, http.StatusNotImplemented, rpc.MethodNotFound},
		{"it failed", foreign, http.StatusInternalServerError, rpc.UpstreamFailed},
		{"credentials", foreign, http.StatusUnauthorized, rpc.UpstreamFailed},
		{"overloaded", foreign, http.StatusTooManyRequests, rpc.UpstreamFailed},
		{"a method of the protocol", core, http.StatusBadRequest, rpc.UpstreamFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := &script{answer: func(w http.ResponseWriter, r received) {
				http.Error(w, "secret of the "+r.method, test.status)
			}}
			e := mustFail(t, newServer(t, remote(t, h)), newCall(t, modernClient(), test.message), test.want)
			if strings.Contains(e.Message, "secret") {
				t.Errorf("the client is told the body: %s", e.Message)
			}
			if e.Code == rpc.MethodNotFound && !strings.Contains(e.Message, "vendor/thing") {
				t.Errorf("the client is not told which method: %s", e.Message)
			}
		})
	}
}

// TestARevisionThatIsRefusedAndOfferedIsTriedAgain obeys MCP 2026-07-28, Versioning: a client retries with a revision
// that both speak. Until then nothing is known of what the server offers.
func TestARevisionThatIsRefusedAndOfferedIsTriedAgain(t *testing.T) {
	t.Parallel()
	refuse := func(w http.ResponseWriter, id string) {
		answerJSON(w, 400, `{"jsonrpc":"2.0","id":`+id+`,"error":{"code":-32022,"message":"m","data":{"supported":["2026-07-28"]}}}`)
	}
	for _, test := range []struct {
		name    string
		refused int // how many times
		offers  bool
	}{
		{"once", 1, true},
		{"always", 9, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			asked := 0 // probes come one after the other
			h := &script{discover: func(w http.ResponseWriter, id string) {
				if asked++; asked <= test.refused {
					refuse(w, id)
					return
				}
				discovered(w, id)
			}}
			d, err := newServer(t, remote(t, h)).Describe(t.Context())
			if err != nil || d.Era != rpc.Modern {
				t.Fatalf("%+v, %v", d, err)
			}
			if offers := strings.Contains(string(d.Capabilities), "tools"); offers != test.offers {
				t.Errorf("capabilities %s", d.Capabilities)
			}
			if asked != 2 {
				t.Errorf("asked %d times, want 2", asked)
			}
		})
	}
}

// TestTheProbeDeclaresWhatClientsCan keeps a server that requires a capability from answering a probe by a refusal,
// though clients would have it.
func TestTheProbeDeclaresWhatClientsCan(t *testing.T) {
	t.Parallel()
	h := &script{discover: discovered}
	if _, err := newServer(t, remote(t, h)).Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, r := range h.find(http.MethodPost, "server/discover") {
		for _, capability := range []string{`"roots":{}`, `"sampling":{`, `"elicitation":{`} {
			if !strings.Contains(r.body, capability) {
				t.Errorf("%s is not in %s", capability, r.body)
			}
		}
	}
}
