// Command serve runs the simulator of an inference server on a port, for load tests and for people.
//
//	go run ./test/fake/engine/serve -listen 127.0.0.1:8000 -model llama -slots 16 -rate 50 -total 400 -prefill 100us -prefix-cache
//	curl -s http://127.0.0.1:8000/v1/chat/completions -d '{"model":"llama","messages":[{"role":"user","content":"hello"}]}'
//	curl -s http://127.0.0.1:8000/control/fault -d '{"kind":"reset","after":5,"times":1}'
//
// It prints its URL when it serves, and ends on SIGTERM and SIGINT.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/headgate/headgate/test/fake/engine"
)

func main() { os.Exit(run()) }

func run() int {
	var c engine.Config
	listen := flag.String("listen", "127.0.0.1:0", "address")
	models := flag.String("model", "sim", "names of models, with commas between them")
	length := flag.Int("length", 64, "tokens of an answer that max_tokens does not cut off")
	flag.IntVar(&c.Context, "context", 8192, "tokens of prompt and answer together")
	flag.IntVar(&c.Slots, "slots", 8, "sequences at the same time")
	flag.IntVar(&c.Queue, "queue", 512, "sequences that wait; more are refused with 503; negative: no bound")
	flag.Float64Var(&c.TokenRate, "rate", 50, "tokens per second of a sequence; 0: no bound")
	flag.Float64Var(&c.TotalRate, "total", 0, "tokens per second of all sequences; 0: no bound")
	flag.DurationVar(&c.Prefill, "prefill", 0, "time for a token of a prompt")
	flag.IntVar(&c.KV, "kv", 0, "tokens of key-value memory; 0: enough for every slot")
	flag.BoolVar(&c.PrefixCache, "prefix-cache", false, "keep and share what prompts begin with")
	flag.DurationVar(&c.Load, "load", 0, "time to load a model")
	flag.DurationVar(&c.AbortDelay, "abort-delay", 0, "time to notice that a client has left")
	flag.StringVar(&c.Key, "key", "", "bearer token that is wanted")
	flag.Parse()
	c.Models = strings.Split(*models, ",")
	c.Length = func(*engine.Request) int { return *length }
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	server, err := engine.Listen(ctx, *listen, c)
	if err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		return 1
	}
	defer server.Kill()
	fmt.Println(server.URL)
	<-ctx.Done()
	return 0
}
