package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestEngineStopsWhenTheClientLeaves: an engine that is left computes no further. Where it tells what runs, that is looked at; of others only that they serve
// the next one.
func TestEngineStopsWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	for name, e := range inferenceEngines(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rpc := endpoint(startGateway(t, e.models()), "/rpc")
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			body := []byte(`{"id":1,"method":"invoke","params":{"model":"chat","prompt":"on and on","stream":true,"max_tokens":400,"ignore_eos":true}}`)
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, rpc, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if first, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || !strings.Contains(first, `"chunk"`) {
				t.Fatalf("%v: %s", err, first)
			}
			leave()
			for ran := e.running(t); ran > 0; ran = e.running(t) {
				time.Sleep(10 * time.Millisecond)
			}
			if e.simulator != nil {
				ledger := e.simulator.Ledger() // warming up comes first
				if r := ledger[len(ledger)-1]; !r.Aborted || r.Output >= 400 {
					t.Errorf("it went on: %+v", r)
				}
			}
			a, err := invoke(t, rpc, map[string]any{"model": "chat", "prompt": "hello", "max_tokens": 4})
			if err != nil || a.Error != "" {
				t.Errorf("the next one: %v, %+v", err, a)
			}
		})
	}
}

// running is what an engine tells of the requests that it computes; 0 if it tells nothing.
func (e inferenceEngine) running(t *testing.T) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(e.url, "/v1")+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var running float64
		if _, value, ok := strings.Cut(line, "} "); ok && strings.HasPrefix(line, "vllm:num_requests_running{") {
			if _, err := fmt.Sscan(value, &running); err != nil {
				t.Fatal(err)
			}
			return int(running)
		}
	}
	return 0
}
