package engine_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/headgate/headgate/test/fake/engine"
)

func get(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

func TestListsAndMetrics(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{Models: []string{"a", "b"}})
	get(t, http.MethodPost, s.URL+"/v1/completions", `{"model":"a","prompt":"hello you","max_tokens":5}`)
	for path, want := range map[string]string{
		"/v1/models":   `"id":"b"`,
		"/api/tags":    `"name":"a:latest"`,
		"/api/ps":      `"name":"a:latest"`,
		"/api/version": "version",
		"/health":      "",
		"/metrics":     `vllm:generation_tokens_total{engine="0",model_name="a"} 5`,
	} {
		if status, body := get(t, http.MethodGet, s.URL+path, ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	_, body := get(t, http.MethodGet, s.URL+"/metrics", "")
	for _, name := range []string{"num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "prefix_cache_queries_total", "prefix_cache_hits_total"} {
		if !strings.Contains(body, "\nvllm:"+name+"{") {
			t.Errorf("no vllm:%s in\n%s", name, body)
		}
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{})
	ask := func() int {
		status, _ := get(t, http.MethodPost, s.URL+"/v1/completions", `{"model":"sim","prompt":"hello you"}`)
		return status
	}
	if status, body := get(t, http.MethodPost, s.URL+"/control/fault", `{"kind":"refuse","status":500}`); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := get(t, http.MethodPost, s.URL+"/control/fault", `{"kind":"nothing"}`); status != 400 {
		t.Errorf("an unknown fault: %d", status)
	}
	if got := ask(); got != 500 {
		t.Errorf("with a fault: %d", got)
	}
	get(t, http.MethodDelete, s.URL+"/control/fault", "")
	if got := ask(); got != 200 {
		t.Errorf("healed: %d", got)
	}
	var ledger []engine.Record
	_, body := get(t, http.MethodGet, s.URL+"/control/ledger", "")
	if err := json.Unmarshal([]byte(body), &ledger); err != nil || len(ledger) != 2 || ledger[0].Status != 500 || ledger[1].Output != 16 || ledger[1].Input != 3 {
		t.Errorf("%v: %s", err, body)
	}
	get(t, http.MethodDelete, s.URL+"/control/ledger", "")
	if _, body = get(t, http.MethodGet, s.URL+"/control/stats", ""); !strings.Contains(body, `"Requests":0`) {
		t.Errorf("stats %s", body)
	}
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := engine.Start(t, engine.Config{TokenRate: 5000, TotalRate: 50000, Prefill: 1000, PrefixCache: true, Queue: -1})
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			status, body := get(t, http.MethodPost, s.URL+"/v1/completions", fmt.Sprintf(`{"model":"sim","prompt":"hello %d","max_tokens":20,"ignore_eos":true,"stream":%t}`, i, i%2 == 0))
			if status != 200 {
				t.Errorf("%d %s", status, body)
			}
		})
	}
	group.Wait()
	if got := s.Stats().Sampled; got != 800 {
		t.Errorf("%d tokens", got)
	}
}
