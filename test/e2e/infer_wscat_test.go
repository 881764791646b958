package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/test/fake/engine"
	"github.com/headgate/headgate/test/peer"
)

// inferPage is the documentation of the dialect. It holds what a person with wscat types and reads, between these.
const (
	inferPage       = "../../docs/inference.md"
	transcriptBegin = "```text wscat\n"
	transcriptEnd   = "```\n"
)

// unlikeTwice is what differs from one session to the next.
var unlikeTwice = regexp.MustCompile(`"(sessionId|job_id|request_id|time|created_at|started_at|finished_at)":"[^"]*"`)

// scribe is a person with wscat who writes down what is typed and what comes.
type scribe struct {
	*typist
	notes strings.Builder
}

// says types a line, and reads lines until each of the wanted texts is in one of them, which has no error unless that
// is wanted. Lines that come together stand in the order of their ids.
func (s *scribe) says(line string, wants ...string) (heard []string) {
	s.t.Helper()
	s.say(line)
	for len(wants) > 0 {
		got := strings.TrimLeft(s.read(), "<> ") // what invites to type may stand before it
		if strings.Contains(got, `"connected?"`) {
			continue
		}
		heard = append(heard, got)
		left := slices.DeleteFunc(slices.Clone(wants), func(want string) bool { return strings.Contains(got, want) })
		if strings.Contains(got, `"error"`) && len(left) == len(wants) {
			s.t.Fatalf("%s: %s", line, got)
		}
		wants = left
	}
	if len(heard) == 2 {
		slices.Sort(heard)
	}
	s.notes.WriteString("> " + unlikeTwice.ReplaceAllString(line, `"$1":"…"`) + "\n")
	for _, h := range heard {
		s.notes.WriteString("< " + unlikeTwice.ReplaceAllString(h, `"$1":"…"`) + "\n")
	}
	return heard
}

// TestInferWscat has a person with wscat drive a session, and compares what comes with what the documentation shows.
func TestInferWscat(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{TokenRate: 1000})
	g := startGateway(t, "models:\n  llama: {backends: [{kind: openai, url: \""+e.URL+"/v1\", model: sim}], warm_up: {at: never}}\n")
	cat := peer.Wscat(t, "ws"+strings.TrimPrefix(endpoint(g, "/rpc"), "http"), "--subprotocol", "jsonrpc")
	s := &scribe{typist: typing(t, cat, `{"id":"connected?","method":"ping"}`, `"time"`)}
	s.says(`{"id":1,"method":"initialize","params":{"clientInfo":{"name":"wscat","version":"6"}}}`, `"sessionId"`)
	s.says(`{"id":2,"method":"invoke","params":{"model":"llama","prompt":"Say hello.","max_tokens":4}}`, `"output"`)
	s.says(`{"id":3,"method":"invoke","params":{"model":"llama","prompt":"Say hello.","max_tokens":3,"stream":true}}`, `{"id":3,"done":true}`)
	e.Fail(engine.Fault{Kind: engine.Stall, After: 1, Times: 1}) // so that there is time to type
	s.says(`{"id":4,"method":"invoke","params":{"model":"llama","prompt":"Write a long story.","stream":true}}`, `"chunk"`)
	s.says(`{"id":5,"method":"cancel","params":{"id":4}}`, `"cancelled":true`, `"error"`)
	queued := s.says(`{"id":6,"method":"invoke_async","params":{"model":"llama","prompt":"Say hello.","max_tokens":4}}`, `"job_id"`)
	job := unlikeTwice.FindString(queued[0])
	s.says(`{"id":7,"method":"status","params":{`+job+`,"wait":30}}`, `"succeeded"`)
	s.says(`{"jsonrpc":"2.0","id":"h","method":"heartbeat","params":{"nonce":"n1"}}`, `"n1"`)
	s.says(`{"id":8,"method":"invoke","params":{"model":"gpt","prompt":"Say hello."}}`, `"error"`)
	s.cat.Close()

	page, err := os.ReadFile(inferPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), transcriptBegin)
	written, after, whole := strings.Cut(rest, transcriptEnd)
	if !ok || !whole {
		t.Fatalf("%s has no transcript", inferPage)
	}
	if *update {
		page = []byte(before + transcriptBegin + s.notes.String() + transcriptEnd + after)
		if err := os.WriteFile(inferPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(written, s.notes.String()); diff != "" {
		t.Errorf("what %s shows is not what comes (go test ./test/e2e -run TestInferWscat -update):\n%s", inferPage, diff)
	}
}
