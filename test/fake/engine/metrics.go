package engine

import (
	"fmt"
	"net/http"
	"strings"
)

// metrics writes what vLLM calls its metrics, in Prometheus' text format, under the first model's name: the slots are shared.
func (e *Engine) metrics(w http.ResponseWriter, _ *http.Request) {
	s := e.Stats()
	labels := fmt.Sprintf(`engine="0",model_name=%q`, e.config.Models[0])
	var out strings.Builder
	write := func(name, kind, help string, value float64) {
		fmt.Fprintf(&out, "# HELP vllm:%s %s\n# TYPE vllm:%s %s\nvllm:%s{%s} %g\n", name, help, name, kind, name, labels, value)
	}
	write("num_requests_running", "gauge", "Number of requests in model execution batches.", float64(s.Running))
	write("num_requests_waiting", "gauge", "Number of requests waiting to be processed.", float64(s.Waiting))
	write("kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", s.KVUsage)
	write("prefix_cache_queries_total", "counter", "Prefix cache queries, in terms of number of queried tokens.", float64(s.PrefixQueries))
	write("prefix_cache_hits_total", "counter", "Prefix cache hits, in terms of number of cached tokens.", float64(s.PrefixHits))
	write("num_preemptions_total", "counter", "Cumulative number of preemption from the engine.", float64(s.Preemptions))
	write("prompt_tokens_total", "counter", "Number of prefill tokens processed.", float64(s.Prompt))
	write("generation_tokens_total", "counter", "Number of generation tokens processed.", float64(s.Sampled))
	fmt.Fprintf(&out, "# HELP vllm:request_success_total Count of successfully processed requests.\n# TYPE vllm:request_success_total counter\n")
	e.mu.Lock()
	reasons := []string{"abort", "length", "stop"}
	counts := []int64{e.finished["abort"], e.finished["length"], e.finished["stop"]}
	e.mu.Unlock()
	for i, reason := range reasons {
		fmt.Fprintf(&out, "vllm:request_success_total{%s,finished_reason=%q} %d\n", labels, reason, counts[i])
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(out.String())) // the client left
}
