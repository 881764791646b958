package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
)

// left asks the gateway how much of a limit is left for calls of a tool from here.
func left(t *testing.T, g *gateway.Gateway, limit, tool string) int {
	t.Helper()
	e, err := g.Explain(t.Context(), admin.Question{Method: "tools/call", Name: tool, Address: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range e.Steps {
		if m := regexp.MustCompile(`^limit "` + limit + `" .* has (\S+) left$`).FindStringSubmatch(s.Reason); m != nil {
			n, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	t.Fatalf("nothing is said of %s: %+v", limit, e)
	return 0
}

// T33: whoever goes away, cancels or tries again has paid for what was begun, and for
// each byte that was passed on.
func TestT33_NobodyPaysLessByLeaving(t *testing.T) {
	t.Parallel()
	const all = 100_000_000
	padding := strings.Repeat("x", 2000)
	chatter := func(ctx context.Context, c *fake.Call) ([]byte, error) {
		for range 20 {
			if err := c.Notify("notifications/message", fmt.Appendf(nil, `{"level":"error","data":%q}`, padding)); err != nil {
				return nil, err
			}
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	fail := fake.Fail(fake.Error{Code: -32000, Message: padding})
	_, server := fakeUpstream(t, fake.Config{Tools: []fake.Tool{{Name: "chatter", Behaviour: chatter}, {Name: "fail", Behaviour: fail}}})
	g := startGateway(t, fmt.Sprintf("limits:\n  - {name: traffic, scope: ip, unit: bytes, tool: \"one__*\", limit: %d, per: day}\n  - {name: calls, scope: ip, unit: requests, tool: \"one__*\", limit: %d, per: day}\nupstreams:\n", all, all)+httpUpstream("one", server))
	rounds := 20
	if os.Getenv("HEADGATE_SOAK") != "" {
		rounds = 1000
	}
	old := &raw{t: t, url: endpoint(g, "/mcp")}
	old.session = openSession(t, old.url, "")
	calls, used := 0, 0
	for i := range rounds {
		for name, c := range map[string]keyholder{"modern": {&raw{t: t, url: old.url}, true}, "legacy": {old, false}} {
			ctx, leave := context.WithCancel(t.Context())
			body, headers := c.request(i+1, "one__chatter", `{}`)
			if c.modern {
				body = strings.Replace(body, `"_meta":{`, `"_meta":{"io.modelcontextprotocol/logLevel":"debug",`, 1)
			}
			res := c.open(ctx, body, headers)
			used += len(body) + readEvents(t, name, bufio.NewReader(res.Body), 1+i%15)
			calls++
			if !c.modern {
				c.post(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`, i+1), nil)
			}
			leave()
			_ = res.Body.Close()
			body, headers = c.request(i+1000, "one__fail", `{}`)
			for range 2 { // it tries again
				res, text := c.post(body, headers)
				used += len(body) + len(message(res, text))
				calls++
			}
		}
	}
	if got := all - left(t, g, "calls", "one__fail"); got != calls {
		t.Errorf("%d calls were made and %d paid", calls, got)
	}
	if got := all - left(t, g, "traffic", "one__fail"); got < used {
		t.Errorf("%d bytes were sent and received, %d paid", used, got)
	}
}

// readEvents reads some messages of a stream and returns how long they are.
func readEvents(t *testing.T, name string, r *bufio.Reader, n int) (size int) {
	t.Helper()
	for n > 0 {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return size
		}
		if data, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "data: "); ok && data != "" {
			size += len(data)
			n--
		}
	}
	return size
}

// What was used of a budget stays used when the gateway is killed.
func TestBudgetsOutliveAGatewayThatIsKilled(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{})
	const budget = 40
	k := newKillable(t, httpUpstream("one", server)+fmt.Sprintf("limits: [{name: day, scope: ip, unit: requests, method: tools/call, limit: %d, per: day}]\n", budget))
	c := keyholder{&raw{t: t, url: k.url()}, true}
	admitted := 0
	for range 3 {
		for range 10 {
			if _, answer := c.tool("one__echo", `{}`); answer.Error != nil {
				t.Fatal(answer.text)
			}
			admitted++
		}
		k.kill()
		k.start()
	}
	for {
		_, answer := c.tool("one__echo", `{}`)
		if answer.reason() == "quota_exhausted" {
			break
		}
		if answer.Error != nil || admitted > budget {
			t.Fatalf("after %d calls: %s", admitted, answer.text)
		}
		admitted++
	}
	if admitted > budget || admitted < budget-3 {
		t.Errorf("%d calls of a budget of %d were admitted over three kills", admitted, budget)
	}
}

// What nears its limit, or is beyond one that is not enforced, stands in the log, once.
func TestTheLogWarnsOfLimits(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{})
	var log lockedBuffer
	g := startGatewayWith(t, "limits:\n"+
		"  - {name: near, scope: ip, unit: requests, method: tools/call, limit: 20, per: day, warn_at: 50%}\n"+
		"  - {name: far, scope: ip, unit: requests, method: tools/call, limit: 20, per: day, warn_at: 90%}\n"+
		"  - {name: loud, scope: ip, unit: requests, method: tools/call, limit: 2, per: day, mode: warn}\n"+
		"  - {name: both, scope: ip, unit: requests, method: tools/call, limit: 4, per: day, mode: warn, warn_at: 50%}\n"+
		"  - {name: fast, scope: ip, unit: requests, method: tools/call, rate: 1/h, mode: warn}\n"+
		"  - {name: busy, scope: ip, unit: in_flight, method: tools/call, limit: 0, mode: warn}\n"+
		"  - {name: quiet, scope: ip, unit: requests, method: tools/call, limit: 2, per: day, mode: shadow}\n"+
		"upstreams:\n"+httpUpstream("one", server), slog.NewJSONHandler(&log, nil))
	c := modernKey(t, g, "")
	for range 12 {
		if _, answer := c.tool("one__echo", `{}`); answer.Error != nil {
			t.Fatal(answer.text)
		}
	}
	warned := map[string]int{}
	for line := range strings.Lines(log.String()) {
		var entry struct{ Level, Msg, Limit, Scope, Unit, Address string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry.Limit != "" && entry.Address == "127.0.0.1" {
			warned[entry.Level+" "+entry.Limit+": "+entry.Msg]++
		}
	}
	for _, want := range []string{
		"WARN near: limit nearly used up", "WARN loud: limit exceeded, not enforced", "WARN fast: limit exceeded, not enforced", "WARN both: limit nearly used up", "WARN both: limit exceeded, not enforced",
		"WARN busy: limit exceeded, not enforced",
	} {
		if warned[want] != 1 {
			t.Errorf("%q stands in the log %d times", want, warned[want])
		}
		delete(warned, want)
	}
	for what := range warned {
		t.Errorf("the log says %q", what)
	}
}
