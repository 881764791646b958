// Package engine is a simulator of inference servers, for tests and load without GPUs.
//
// One [Engine] speaks what vLLM and its like speak (/v1/chat/completions, /v1/completions, /v1/models, /health, and /metrics with vLLM's
// names) and what Ollama speaks natively (/api/generate, /api/chat, /api/tags and so on), as an [net/http.Handler]. [Start] and [Listen]
// put it on a port of loopback, [Engine.Dial] behind a pipe, which is what a test in a bubble of testing/synctest needs: the simulator's
// only clock is package time's.
//
// Behind it is a discrete model of continuous batching: sequences wait for a slot and for key-value memory, prompts are computed in chunks
// beside the tokens of the others, what a prompt shares with an earlier one costs nothing, and a sequence that finds no memory is
// preempted and computed anew. Steps are made by the time at which they would have ended, so that a busy machine delays tokens and
// loses none. It costs one timer for all sequences, and no goroutine.
//
// Tokens are counted where they are sampled. The [Entry] of a request tells how many there were, whatever the client has read and
// whether it was still there: what a ledger of tokens is held to. [Fault] makes any request go wrong.
//
// # What it does not model
//
//   - Meaning. Texts are words by a hash of the prompt; the temperature and other sampling parameters are read and change nothing, and
//     there are no tool calls, log probabilities, images, embeddings or reasoning texts.
//   - Tokenizers. A token of a prompt is so many bytes ([Config.BytesPerToken]) and a chat template is four tokens a message; a token of the answer is a word.
//   - Hardware. A step takes what [Config] says per sequence, in total and per token of a prompt. There is no speculative decoding, no parallelism
//     over devices, no memory bandwidth that a long context uses up, and no noise: equal requests in an equal order take equal times.
//   - Shared prefixes of answers: blocks that hold a prompt are cached; those that hold what was generated are not.
//   - Several models share the slots and the memory of one engine and never displace each other. Loading one takes [Config.Load] and no memory.
//   - Fairness: waiting is first come, first served, as in vLLM; there are no priorities.
//
// It shares no code with the gateway. The product never uses it.
package engine
