package engine

import "time"

// Config describes an engine. Its zero value is one that answers at once: each cost is zero until it is said.
type Config struct {
	Models  []string // served; none: "sim"
	Context int      // tokens of prompt and answer together; 0: 8192. There are no more than KV
	Slots   int      // sequences that are computed at the same time; 0: 8
	Queue   int      // sequences that wait for a slot, the next one is refused with 503; 0: 512, negative: no bound

	TokenRate float64       // tokens per second of one sequence; 0: no bound
	TotalRate float64       // tokens per second of all sequences together; 0: no bound
	Prefill   time.Duration // for a token of a prompt that is not cached
	Chunk     int           // most tokens of prompts that are computed in one step; 0: 512

	KV          int           // tokens of key-value memory; 0: enough for Slots sequences of Context tokens
	Block       int           // tokens of a block of it; 0: 16
	PrefixCache bool          // blocks of prompts stay until they are displaced, and are shared
	Load        time.Duration // a model that was not used yet, or was unloaded, loads for so long before its first step
	AbortDelay  time.Duration // from the client's leaving to the engine's noticing, in which it goes on; 0: at once

	BytesPerToken int // of a prompt; 0: 4
	// Length is how many tokens an answer has that is not cut off by max_tokens. Nil: 16.
	Length func(*Request) int
	// Token is a token of the answer; i counts from 0. Nil: words by a hash of the prompt. It must be pure.
	Token func(r *Request, i int) string

	Key    string // wanted as a bearer token; "": none is
	Record bool   // keep the bodies of requests in their entries
}

func (c Config) withDefaults() Config {
	if len(c.Models) == 0 {
		c.Models = []string{"sim"}
	}
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&c.Context, 8192)
	set(&c.Slots, 8)
	set(&c.Queue, 512)
	set(&c.Chunk, 512)
	set(&c.Block, 16)
	set(&c.KV, c.Slots*c.Context)
	c.Context = min(c.Context, c.KV/c.Block*c.Block)
	set(&c.BytesPerToken, 4)
	if c.Length == nil {
		c.Length = func(*Request) int { return 16 }
	}
	if c.Token == nil {
		c.Token = (*Request).word
	}
	return c
}
