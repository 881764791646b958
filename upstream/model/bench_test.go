package model

import (
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/infer"
)

// repeated is an endless stream of one text.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), len(r.text)-r.at)], r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// BenchmarkChunk reads a chunk as each kind of backend sends it, and makes the message that goes on.
func BenchmarkChunk(b *testing.B) {
	p := fuzzPeer()
	p.deps.MaxResult = 1 << 60
	for name, tt := range map[string]struct {
		text string
		open func(r *repeated) parts
	}{
		"openai": {
			`data: {"id":"chatcmpl-5f3a9c7f4c2e4f8fb6a2","object":"chat.completion.chunk","created":1790000000,"model":"meta-llama/Llama-3.1-8B-Instruct",` +
				`"choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}` + "\n\n",
			func(r *repeated) parts {
				return &openAIStream{p: p, resp: answerOf(typeEvents, r), events: frame.NewSSEReader(r, maxEvent)}
			},
		},
		"ollama": {
			`{"model":"llama3.1:8b","created_at":"2026-11-22T10:00:00.123456789Z","response":" token","done":false}` + "\n",
			func(r *repeated) parts {
				return &ollamaStream{p: p, resp: answerOf(typeLines, r), lines: frame.NewLineReader(r, maxLine)}
			},
		},
		"rpc": {
			`{"jsonrpc":"2.0","id":1,"result":{"chunk":{"text":" token"}}}` + "\n",
			func(r *repeated) parts {
				resp := answerOf(typeLines, r)
				return &relayStream{p: p, id: rpc.NumberID(1), frames: &httpFrames{resp: resp, lines: frame.NewLineReader(r, maxLine), fault: &p.fault}}
			},
		},
	} {
		b.Run(name, func(b *testing.B) {
			answer := tt.open(&repeated{text: tt.text})
			var tally tally
			tally.begin(nil, 8, 0, 1)
			var notice rpc.Notice
			b.ReportAllocs()
			for b.Loop() {
				chunk, err := answer.next(&tally)
				if err != nil {
					b.Fatal(err)
				}
				tally.part()
				if m := notice.Make(infer.Chunk, chunk); m.Method != infer.Chunk {
					b.Fatal(m)
				}
			}
		})
	}
}
