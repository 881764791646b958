package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/test/fake"
)

// full runs statistical tests with all their samples, and asserts what they show. It
// needs a machine that does nothing else.
var full = flag.Bool("full", false, "run statistical tests with all their samples")

// T4: how long it takes to be told that there is no such thing says nothing of whether
// somebody else has it.
func TestT4_TimeDoesNotTellHandlesOfOthers(t *testing.T) {
	samples := 50
	if *full {
		samples = 10_000
	}
	tasks := &fake.Tasks{}
	_, server := fakeUpstream(t, fake.Config{
		Name: "slow", Tasks: tasks, Tools: []fake.Tool{tasks.Tool("dig")},
		Capabilities: json.RawMessage(`{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}`),
	})
	section, key := keys("acme", "evil")
	url := endpoint(startGateway(t, section+"upstreams:\n"+httpUpstream("slow", server)), "/mcp")
	r := &raw{t: t, url: url, key: key["evil"]}

	session := openSession(t, url, key["acme"])
	for name, ask := range map[string]func(handle string) string{
		session: func(handle string) string {
			_, body := r.post(listTools, map[string]string{"Mcp-Session-Id": handle})
			return body
		},
		(&taskClient{&raw{t: t, url: url, key: key["acme"]}, tasksDeclared}).send("tools/call", "name", "slow__dig", `,"arguments":{}`).Result.TaskID: func(handle string) string {
			body := strings.Replace(fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":%q,META}}`, handle), "META",
				`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":`+tasksDeclared+`}`, 1)
			_, text := r.post(body, modernHeaders("tasks/get", handle))
			return text
		},
	} {
		unknown := changed(name, len(name)/2)
		if name == "" || ask(name) != ask(unknown) {
			t.Fatalf("they are told apart: %s and %s", ask(name), ask(unknown))
		}
		var foreign, never []time.Duration
		for i := range samples {
			one, two := name, unknown
			if i%2 == 1 {
				one, two = two, one
			}
			began := time.Now()
			ask(one)
			middle := time.Now()
			ask(two)
			first, second := middle.Sub(began), time.Since(middle)
			if i%2 == 1 {
				first, second = second, first
			}
			foreign, never = append(foreign, first), append(never, second)
		}
		slices.Sort(foreign)
		slices.Sort(never)
		a, b := foreign[len(foreign)/2], never[len(never)/2]
		t.Logf("%d calls each: median %v for what somebody else has, %v for what nobody has (%+.1f %%)", samples, a, b, 100*(float64(a)/float64(b)-1))
		if *full && (float64(a) > 1.05*float64(b) || float64(b) > 1.05*float64(a)) {
			t.Errorf("medians %v and %v differ by more than 5 %%", a, b)
		}
	}
}
