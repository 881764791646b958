package gateway

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/test/fake/engine"
)

// What was kept of a model is forgotten when others serve it.
func TestNothingIsKeptOfAModelThatOthersServe(t *testing.T) {
	t.Parallel()
	old, fresh := engine.Start(t, engine.Config{}), engine.Start(t, engine.Config{})
	dir := t.TempDir()
	load := func(url string) *config.Config {
		path := filepath.Join(dir, "headgate.yaml")
		text := fmt.Sprintf("listen: 127.0.0.1:0\nadmin: {listen: 127.0.0.1:0}\ndata_dir: %s\nshutdown: {grace: 0s}\n"+
			"models:\n  sim: {backends: [{kind: openai, url: %q}]}\n  other: {backends: [{kind: openai, model: sim, url: %q}]}\n"+
			"cache:\n  models: {allow: [\"*\"], ttl: 10m}\n", filepath.Join(dir, "data"), url+"/v1", old.URL+"/v1")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(path, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	g := reading(t, load(old.URL), nil)
	asked := func(model string) {
		t.Helper()
		reply, err := g.invoke(t.Context(), &rpc.Call{Record: &rpc.Record{}, Principal: rpc.Principal{Scopes: ownScopes}},
			json.RawMessage(`{"model":"`+model+`","prompt":"?","temperature":0}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reply.Next(); err != nil {
			t.Error(err)
		}
		_ = reply.Close()
	}
	answers := func(want int64, of *engine.Server, model string) {
		t.Helper()
		before := int64(of.Stats().Requests)
		asked(model)
		if n := int64(of.Stats().Requests) - before; n != want {
			t.Errorf("%s was asked %d times, want %d", model, n, want)
		}
	}
	for _, model := range []string{"sim", "other"} {
		asked(model)
		answers(0, old, model)
	}
	if _, err := g.Reload(t.Context(), load(fresh.URL)); err != nil {
		t.Fatal(err)
	}
	asked("sim")
	if fresh.Stats().Requests == 0 {
		t.Error("the answer is that of who served the model before")
	}
	answers(0, old, "other")
	if err := g.StopNow(t.Context()); err != nil {
		t.Error(err)
	}
}
