package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/test/fake/engine"
)

// spoken sends a message of the inference dialect and returns the objects that it is answered with, as they come.
func spoken(t *testing.T, ctx context.Context, url, key, message string) (next func() map[string]any) { //nolint:revive // t comes first here
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	return func() map[string]any {
		if !lines.Scan() {
			return nil
		}
		var out map[string]any
		if err := json.Unmarshal(lines.Bytes(), &out); err != nil {
			t.Errorf("%s: %v", lines.Bytes(), err)
		}
		return out
	}
}

// entryIn returns the entry of an object, by what tells it from others.
func entryIn(object map[string]any) string {
	result, _ := object["result"].(map[string]any)
	entry, _ := result["entry"].(map[string]any)
	if entry == nil {
		return fmt.Sprint(object)
	}
	return fmt.Sprint(entry["component"], " ", entry["method"], " ", entry["key"], " ", entry["model"], " ", entry["status"], " ", entry["request_id"] != nil)
}

// Callers read what became of the calls of their own organisation, and operators of all.
func TestLogsOfTheDialect(t *testing.T) {
	t.Parallel()
	e := engine.Start(t, engine.Config{})
	var hashes [4]any
	var key [4]string
	for i := range key {
		key[i], hashes[i] = auth.NewKey()
	}
	g := startGateway(t, fmt.Sprintf(`auth:
  keys:
    - {id: ada, hash: %q, org: acme, scopes: ["infer:*"]}
    - {id: bob, hash: %q, org: acme, scopes: ["infer:*"]}
    - {id: eve, hash: %q, org: other, scopes: ["infer:*"]}
    - {id: root, hash: %q, org: ops, scopes: ["infer:*", "logs:all"]}
`, hashes[:]...)+engineModels(e.URL, "sim"))
	url := endpoint(g, "/rpc")
	invoke := func(key string) {
		next := spoken(t, t.Context(), url, key, `{"id":1,"method":"invoke","params":{"model":"sim","prompt":"hello"}}`)
		for next() != nil {
			continue
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	follow := spoken(t, ctx, url, key[1], `{"id":"f","method":"logs","params":{}}`)
	invoke(key[0])
	invoke(key[2])
	invoke(key[0])
	for range 2 { // which eve's is not among
		if got, want := entryIn(follow()), "access invoke ada sim ok true"; got != want {
			t.Errorf("who follows gets %s, want %s", got, want)
		}
	}
	cancel()
	for name, test := range map[string]struct {
		key  string
		want []string
	}{
		"a colleague":  {key[1], []string{"access invoke ada sim ok true", "access invoke ada sim ok true"}},
		"a stranger":   {key[2], []string{"access invoke eve sim ok true"}},
		"the operator": {key[3], []string{"access invoke ada sim ok true", "access invoke ada sim ok true", "access invoke eve sim ok true"}},
	} {
		var got []string
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // an entry may come after its answer
			if got = entriesOf(t, url, test.key); slices.Equal(got, test.want) || time.Now().After(deadline) {
				break
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// entriesOf are the entries of calls of models that the bearer of a key may read, and all others that are not the gateway's own, sorted.
func entriesOf(t *testing.T, url, key string) (out []string) {
	t.Helper()
	next := spoken(t, t.Context(), url, key, `{"id":"x","method":"logs","params":{"follow":false,"tail":50}}`)
	for object := next(); object != nil; object = next() {
		if object["done"] == true {
			if object["id"] != "x" {
				t.Errorf("the end is %v", object)
			}
			break
		}
		if line := entryIn(object); !strings.Contains(line, "<nil> <nil> <nil> <nil> false") {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}
