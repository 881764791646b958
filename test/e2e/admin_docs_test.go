package e2e

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/admin/live"
	"github.com/headgate/headgate/test/fake"
)

// inAPI are the paths of docs/admin-api.md that answer with JSON, and what their answers are read into.
var inAPI = map[string]func() any{
	"/api/v1/overview":    func() any { return new(admin.Overview) },
	"/api/v1/upstreams":   func() any { return new(admin.Part[admin.Upstream]) },
	"/api/v1/models":      func() any { return new(admin.Part[admin.Model]) },
	"/api/v1/calls":       func() any { return new(admin.Part[live.Call]) },
	"/api/v1/streams":     func() any { return new(admin.Part[live.Call]) },
	"/api/v1/connections": func() any { return new(admin.Part[admin.Connection]) },
	"/api/v1/sessions":    func() any { return new(admin.Part[admin.Session]) },
	"/api/v1/recent":      func() any { return new(admin.Part[live.Ended]) },
	"/api/v1/limits":      func() any { return new(admin.Part[admin.Limit]) },
	"/api/v1/jobs":        func() any { return new(admin.JobPage) },
}

// The examples of the documentation are answers that the API could give: they have its members and no others. Each path
// that is documented is served, with the status that is said.
func TestTheOperatorsAPIIsAsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/admin-api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, url := fakeUpstream(t, fake.Config{})
	g := startGateway(t, engineModels("http://127.0.0.1:1", "sim")+"limits: [{name: day, scope: ip, unit: requests, limit: 100, per: day}]\nupstreams:\n"+httpUpstream("one", url))
	legacy(t, endpoint(g, "/mcp"), `{}`).post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, nil)
	var seen []string
	for _, section := range strings.Split(string(text), "\n### ")[1:] {
		heading, body, _ := strings.Cut(section, "\n")
		method, path, _ := strings.Cut(heading, " ")
		seen = append(seen, heading)
		if method == http.MethodDelete {
			path = strings.Replace(path, "{id}", "0000000000000000", 1)
			if status := operator(t, g, method, path, nil); status != http.StatusNotFound || !strings.Contains(body, "204") || !strings.Contains(body, "404") {
				t.Errorf("%s: %d", heading, status)
			}
			continue
		}
		into, ok := inAPI[path]
		if !ok {
			continue
		}
		example := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(body)
		if example == nil {
			t.Errorf("%s has no example", heading)
			continue
		}
		strict(t, heading+" in the documentation", []byte(example[1]), into())
		var answer json.RawMessage
		if status := operator(t, g, method, path, &answer); status != http.StatusOK {
			t.Errorf("%s: %d", heading, status)
		}
		strict(t, heading, answer, into())
		var members, shown map[string]any
		if json.Unmarshal(answer, &members) != nil || json.Unmarshal([]byte(example[1]), &shown) != nil {
			t.Errorf("%s is no object", heading)
		}
		if missing := less(members, shown); len(missing) > 0 {
			t.Errorf("%s: the example lacks %v", heading, missing)
		}
	}
	want := []string{
		"GET /api/v1/overview", "GET /api/v1/upstreams", "GET /api/v1/models", "GET /api/v1/calls", "DELETE /api/v1/calls/{id}", "GET /api/v1/streams", "DELETE /api/v1/streams/{id}",
		"GET /api/v1/connections", "DELETE /api/v1/connections/{id}", "GET /api/v1/sessions", "DELETE /api/v1/sessions/{id}", "GET /api/v1/recent",
		"GET /api/v1/limits", "GET /api/v1/jobs", "GET /api/v1/jobs/{id}", "POST /api/v1/jobs/{id}/cancel", "POST /api/v1/jobs/{id}/redrive",
		"GET /api/v1/events", "POST /explain",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
}

// strict reads JSON that may have the members of a type only.
func strict(t *testing.T, what string, text []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Errorf("%s: %v\n%s", what, err, text)
	}
}

// less returns the members of an answer, and of the first item of its list, that an example lacks, or all of its items do.
func less(answer, example map[string]any) (missing []string) {
	for name, value := range answer {
		shown, ok := example[name]
		if !ok {
			missing = append(missing, name)
			continue
		}
		here, isList := value.([]any)
		there, isShown := shown.([]any)
		if !isList || !isShown || len(here) == 0 || len(there) == 0 {
			continue
		}
		a, ok1 := here[0].(map[string]any)
		all := map[string]any{}
		for _, item := range there {
			if b, ok := item.(map[string]any); ok {
				maps.Copy(all, b)
			}
		}
		if ok1 && name == "items" {
			missing = append(missing, less(a, all)...)
		}
	}
	return missing
}
