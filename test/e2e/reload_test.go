package e2e

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gosdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/test/fake"
)

// reloadable is a gateway whose configuration changes.
type reloadable struct {
	*gateway.Gateway
	t    *testing.T
	data string
}

func startReloadable(t *testing.T, yaml string) reloadable {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	return reloadable{startGatewayAt(t, data, yaml, slog.NewTextHandler(logTo{t}, nil)), t, data}
}

// with returns the configuration that yaml adds to.
func (r reloadable) with(yaml string) *config.Config {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "headgate.yaml")
	text := "version: 1\nlisten: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: " + r.data + "\nshutdown: {grace: 0s, drain: 5s}\n" + yaml
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	cfg, err := config.Load(path, os.LookupEnv)
	if err != nil {
		r.t.Fatal(err)
	}
	return cfg
}

// reload puts another configuration in force.
func (r reloadable) reload(yaml string) gateway.Outcome {
	r.t.Helper()
	out, err := r.Reload(r.t.Context(), r.with(yaml))
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

func echoing(t *testing.T, tools ...string) string {
	t.Helper()
	var all []fake.Tool
	for _, name := range tools {
		all = append(all, fake.Tool{Name: name, Behaviour: fake.Echo})
	}
	_, url := fakeUpstream(t, fake.Config{Tools: all})
	return url
}

// A client of the Go SDK, of either era, hears of an upstream that came and of one that went, and calls what is new.
func TestReload_ClientsHearOfUpstreamsThatComeAndGo(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			a, b := httpUpstream("a", echoing(t, "one")), httpUpstream("b", echoing(t, "two"))
			g := startReloadable(t, "upstreams:\n"+a)
			heard := make(chan struct{}, 16)
			client := gosdk.NewClient(&gosdk.Implementation{Name: "test", Version: "1"}, &gosdk.ClientOptions{
				ToolListChangedHandler: func(context.Context, *gosdk.ToolListChangedRequest) { heard <- struct{}{} },
			})
			session, err := client.Connect(t.Context(), &gosdk.StreamableClientTransport{Endpoint: endpoint(g.Gateway, "/mcp")}, &gosdk.ClientSessionOptions{ProtocolVersion: revision})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if out := g.reload("upstreams:\n" + a + b); !slices.Equal(out.Added, []string{"b"}) || len(out.Renewed) > 0 {
				t.Errorf("%+v", out)
			}
			awaitTools(t, session, heard, "a__one", "b__two")
			if res, err := session.CallTool(t.Context(), &gosdk.CallToolParams{Name: "b__two", Arguments: map[string]any{}}); err != nil || res.IsError {
				t.Errorf("the tool that came: %+v, %v", res, err)
			}
			if out := g.reload("upstreams:\n" + b); !slices.Equal(out.Removed, []string{"a"}) {
				t.Errorf("%+v", out)
			}
			awaitTools(t, session, heard, "b__two")
			if _, err := session.CallTool(t.Context(), &gosdk.CallToolParams{Name: "a__one", Arguments: map[string]any{}}); err == nil || !strings.Contains(err.Error(), "unknown tool") {
				t.Errorf("the tool that went: %v", err)
			}
		})
	}
}

// awaitTools waits until a client has been told that its tools are these.
func awaitTools(t *testing.T, session *gosdk.ClientSession, heard <-chan struct{}, want ...string) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case <-heard:
		case <-limit:
			t.Fatalf("the client did not hear that its tools are %v", want)
		}
		list, err := session.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, tool := range list.Tools {
			got = append(got, tool.Name)
		}
		if slices.Equal(got, want) {
			return
		}
	}
}

// A configuration that cannot be used changes nothing, and what needs a restart is said, not done.
func TestReload_RefusesWhatCannotBeUsed(t *testing.T) {
	t.Parallel()
	a := "upstreams:\n" + httpUpstream("a", echoing(t, "one"))
	g := startReloadable(t, a)
	before := g.Configuration()
	bad := g.with(a)
	bad.Listen, bad.DataDir = "0.0.0.0:0", ""
	bad.Limits = []config.Limit{{Name: "no rate", Scope: "key", Unit: "requests", Per: "nonsense", Limit: 1}}
	if _, err := g.Reload(t.Context(), bad); err == nil {
		t.Error("a limit without sense is taken")
	}
	if diff := g.Configuration(); diff.Generation != before.Generation {
		t.Errorf("%+v", diff)
	}
	moved := g.with(a + "bounds: {body: 2MiB}\n")
	moved.Listen, moved.DataDir = "0.0.0.0:1", "elsewhere"
	out, err := g.Reload(t.Context(), moved)
	if err != nil || !slices.Equal(out.Restart, []string{"listen", "data_dir"}) || len(out.Changes) != 1 {
		t.Errorf("%+v, %v", out, err)
	}
	if out, err := g.Reload(t.Context(), g.with(a+"bounds: {body: 2MiB}\n")); err != nil || len(out.Changes)+len(out.Restart) != 0 {
		t.Errorf("the same once more: %+v, %v", out, err)
	}
}

// A call that runs on an upstream which goes, or is replaced, ends as if nothing had happened.
func TestReload_CallsInFlightFinish(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 2), make(chan struct{})
	slow := func(ctx context.Context, c *fake.Call) ([]byte, error) {
		begun <- struct{}{}
		select {
		case <-release:
			return fake.Echo(ctx, c)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	_, url := fakeUpstream(t, fake.Config{Tools: []fake.Tool{{Name: "slow", Behaviour: slow}}})
	stay := httpUpstream("stay", echoing(t, "one"))
	g := startReloadable(t, "upstreams:\n"+stay+httpUpstream("gone", url)+httpUpstream("changed", url))
	client := gosdk.NewClient(&gosdk.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &gosdk.StreamableClientTransport{Endpoint: endpoint(g.Gateway, "/mcp")}, &gosdk.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	failed := make(chan error, 2)
	for _, name := range []string{"gone__slow", "changed__slow"} {
		go func() {
			res, err := session.CallTool(t.Context(), &gosdk.CallToolParams{Name: name, Arguments: map[string]any{"n": 1}})
			if err == nil && res.IsError {
				err = fmt.Errorf("%s: %+v", name, res)
			}
			failed <- err
		}()
		<-begun
	}
	out := g.reload("upstreams:\n" + stay + fmt.Sprintf("  changed: {url: %q, timeout: 50s}\n", url))
	if !slices.Equal(out.Renewed, []string{"changed"}) || !slices.Equal(out.Removed, []string{"gone"}) {
		t.Errorf("%+v", out)
	}
	time.Sleep(1200 * time.Millisecond) // longer than an upstream lingers that nothing holds
	close(release)
	for range 2 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// What has been used of a limit stays used, whatever else of it changes.
func TestReload_LimitsKeepTheirCounts(t *testing.T) {
	t.Parallel()
	a := "upstreams:\n" + httpUpstream("a", echoing(t, "one"))
	limits := func(n int) string {
		return fmt.Sprintf("limits: [{name: day, scope: ip, unit: requests, method: tools/call, limit: %d, per: day}]\n", n) + a
	}
	g := startReloadable(t, limits(2))
	session := goSDKSession(t, overHTTP(endpoint(g.Gateway, "/mcp")), "2025-11-25")
	passes := func() bool {
		_, err := session.CallTool(t.Context(), &gosdk.CallToolParams{Name: "a__one", Arguments: map[string]any{}})
		return err == nil
	}
	for i, want := range []bool{true, true, false} {
		if passes() != want {
			t.Fatalf("call %d does not count to two", i+1)
		}
	}
	g.reload(limits(3))
	if !passes() || passes() {
		t.Error("it does not go on with what was used")
	}
	g.reload(a)
	if !passes() {
		t.Error("a limit that is not there any more refuses")
	}
	g.reload(limits(3))
	if passes() {
		t.Error("what was used is forgotten")
	}
}

// A key that the configuration does not have any more is good for nothing from then on; others, and who was let in by them,
// are not disturbed.
func TestReload_KeysThatGoStopAtOnce(t *testing.T) {
	t.Parallel()
	a := "upstreams:\n" + httpUpstream("a", echoing(t, "one"))
	key := func(id string) string {
		return fmt.Sprintf("    - {id: %s, key: the-key-of-%s-in-this-test, org: o, scopes: [\"mcp:*\"]}\n", id, id)
	}
	g := startReloadable(t, "auth:\n  keys:\n"+key("stays")+key("goes")+a)
	status := func(id string) int {
		return statusAs(t, g.Gateway, "the-key-of-"+id+"-in-this-test")
	}
	if status("stays") != http.StatusOK || status("goes") != http.StatusOK || status("comes") != http.StatusUnauthorized {
		t.Fatal("keys are not told apart")
	}
	g.reload("auth:\n  keys:\n" + key("stays") + key("comes") + a)
	if stays, goes, comes := status("stays"), status("goes"), status("comes"); stays != http.StatusOK || goes != http.StatusUnauthorized || comes != http.StatusOK {
		t.Errorf("%d, %d, %d", stays, goes, comes)
	}
}

// statusAs lists tools with a key and returns the status of the answer.
func statusAs(t *testing.T, g *gateway.Gateway, key string) int {
	t.Helper()
	h := modernHeaders("tools/list", "")
	h["Authorization"] = "Bearer " + key
	res := (&raw{t: t, url: endpoint(g, "/mcp")}).open(t.Context(), `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, h)
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// A tool that is filtered out, and an endpoint that shows something else, are so at once, and their clients hear of it.
func TestReload_FiltersAndEndpoints(t *testing.T) {
	t.Parallel()
	url := echoing(t, "one", "two")
	g := startReloadable(t, "endpoints: {/mcp/some: {upstreams: [a]}}\nupstreams:\n"+httpUpstream("a", url))
	heard := make(chan struct{}, 16)
	client := gosdk.NewClient(&gosdk.Implementation{Name: "test", Version: "1"}, &gosdk.ClientOptions{
		ToolListChangedHandler: func(context.Context, *gosdk.ToolListChangedRequest) { heard <- struct{}{} },
	})
	session, err := client.Connect(t.Context(), &gosdk.StreamableClientTransport{Endpoint: endpoint(g.Gateway, "/mcp/some")}, &gosdk.ClientSessionOptions{ProtocolVersion: "2025-11-25"})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if out := g.reload(fmt.Sprintf("endpoints: {/mcp/some: {upstreams: [a]}}\nupstreams:\n  a: {url: %q, tools: {deny: [two]}}\n", url)); len(out.Renewed)+len(out.Removed) > 0 {
		t.Errorf("an upstream is connected to anew because of its filter: %+v", out)
	}
	if _, err := session.CallTool(t.Context(), &gosdk.CallToolParams{Name: "a__two", Arguments: map[string]any{}}); err == nil {
		t.Error("a tool that is filtered out is called")
	}
	awaitTools(t, session, heard, "a__one")
	g.reload("endpoints: {/mcp/some: {upstreams: [a], prefix: never, tools: {deny: [a__one]}}}\nupstreams:\n" + httpUpstream("a", url))
	awaitTools(t, session, heard, "two")
}
