package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/headgate/headgate/test/fake/engine"
)

// What one engine can do. A batch of eight is as fast as it gets.
const (
	slots     = 16
	tokenRate = 50  // per second of one sequence
	totalRate = 400 // per second of all
	prefill   = 100 * time.Microsecond
)

// What requests are like.
const (
	conversations = 24   // long prompts that most of them begin with
	prefix        = 4096 // bytes of one
	unique        = 0.3  // of the requests begin with none of them
	meanOutput    = 60   // tokens
	maxOutput     = 240  // likewise
	bytesPerToken = 4    // as the simulator counts
)

// request is a request to come.
type request struct {
	at     time.Duration // from the beginning
	prompt string
	tokens int // of the answer
}

// engineConfig describes an engine of the cluster, so many times slower than the others.
func engineConfig(slow float64) engine.Config {
	return engine.Config{
		Models: []string{"sim"}, Slots: slots, Queue: -1, TokenRate: tokenRate / slow, TotalRate: totalRate / slow,
		Prefill: time.Duration(float64(prefill) * slow), PrefixCache: true, Context: 8192, KV: 10 * 1024 * slots / 2,
	}
}

// traffic draws the requests of a run. The cluster can do as much as its engines would if each was always busy with full batches and found nothing in
// its cache.
func traffic(o options) []request {
	random := rand.New(rand.NewPCG(o.seed, 0))
	capacity := float64(o.engines-1) + 1/o.slow // in engines
	inputTokens := (1 - unique) * prefix / bytesPerToken
	cost := meanOutput/float64(totalRate) + inputTokens*prefill.Seconds() // seconds of an engine for a request
	every := cost / (capacity * o.load)
	var requests []request
	for at := random.ExpFloat64() * every; at < o.duration.Seconds(); at += random.ExpFloat64() * every {
		r := request{
			at:     time.Duration(at * float64(time.Second)),
			prompt: fmt.Sprintf("and number %d?", len(requests)),
			tokens: min(1+int(random.ExpFloat64()*meanOutput), maxOutput),
		}
		if random.Float64() >= unique {
			r.prompt = conversation(random.IntN(conversations)) + r.prompt
		}
		requests = append(requests, r)
	}
	return requests
}

// conversation is a long text, different from the first word on from all others.
func conversation(i int) string {
	line := fmt.Sprintf("conversation %d has been going on for a while. ", i)
	return strings.Repeat(line, prefix/len(line)+1)[:prefix]
}
