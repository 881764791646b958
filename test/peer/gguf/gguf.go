// Package gguf writes a random language model of half a megabyte, so that a real inference engine can be tested with on any machine.
//
// The file is GGUF version 3 with the tensors of a small Llama: an embedding of 64, a context of 512, and as many blocks as one likes, two of which
// make half a megabyte. It is the same each time. What the model says is nonsense, and words: the tokens for single bytes and the control
// tokens are made improbable, so that answers are as long as they may be, and valid UTF-8. Everything else about an engine that runs it is real.
package gguf

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
)

// Shape of a model.
const (
	Context     = 512 // tokens that it was made for
	embedding   = 64
	feedForward = 128
	heads       = 4
	alignment   = 32
)

// Value types of GGUF, version 3.
const (
	typeUint32  = 4
	typeInt32   = 5
	typeFloat32 = 6
	typeString  = 8
	typeArray   = 9
)

// tensor is a matrix whose values are drawn when it is written.
type tensor struct {
	name  string
	shape []uint64 // the fastest first
	value func(i int) float32
}

func (t tensor) size() uint64 {
	size := uint64(4)
	for _, n := range t.shape {
		size *= n
	}
	return size
}

// Write writes a model with so many blocks. What it costs to compute a token grows with them.
func Write(w io.Writer, blocks int) error {
	out := &file{Writer: bufio.NewWriter(w)}
	vocabulary := newVocabulary()
	tensors := model(vocabulary, blocks)
	out.raw([]byte("GGUF"))
	out.number(uint32(3))
	out.number(uint64(len(tensors)))
	pairs := metadata(vocabulary, blocks)
	out.number(uint64(len(pairs)))
	for _, p := range pairs {
		out.text(p.key)
		out.value(p.value)
	}
	offset := uint64(0)
	for _, t := range tensors {
		out.text(t.name)
		out.number(uint32(len(t.shape)))
		out.number(t.shape)
		out.number(uint32(0)) // F32
		out.number(offset)
		offset += t.size() // a multiple of the alignment: each has at least 64 values
	}
	out.align()
	for _, t := range tensors {
		for i := range int(t.size() / 4) {
			out.number(t.value(i))
		}
	}
	if out.err != nil {
		return out.err
	}
	return out.Flush()
}

// model lists the tensors. The first member of each embedding is one and of each output row says how probable a token is at all: what lies between leaves
// it as it is, for it adds nothing to it.
func model(v vocabulary, blocks int) []tensor {
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(scale float64) func(int) float32 {
		return func(int) float32 { return float32(random.NormFloat64() * scale) }
	}
	ones := func(int) float32 { return 1 }
	// Rows whose first is zero: they write nothing to the first member.
	closed := func(scale float64, width int) func(int) float32 {
		draw := noise(scale)
		return func(i int) float32 {
			if i < width {
				return 0
			}
			return draw(i)
		}
	}
	first := func(draw, value func(int) float32) func(int) float32 {
		return func(i int) float32 {
			if i%embedding == 0 {
				return value(i / embedding)
			}
			return draw(i)
		}
	}
	words := uint64(len(v.tokens))
	tensors := []tensor{{"token_embd.weight", []uint64{embedding, words}, first(noise(0.3), ones)}}
	for i := range blocks {
		block := fmt.Sprintf("blk.%d.", i)
		tensors = append(tensors,
			tensor{block + "attn_norm.weight", []uint64{embedding}, ones},
			tensor{block + "attn_q.weight", []uint64{embedding, embedding}, noise(0.2)},
			tensor{block + "attn_k.weight", []uint64{embedding, embedding}, noise(0.2)},
			tensor{block + "attn_v.weight", []uint64{embedding, embedding}, noise(0.2)},
			tensor{block + "attn_output.weight", []uint64{embedding, embedding}, closed(0.1, embedding)},
			tensor{block + "ffn_norm.weight", []uint64{embedding}, ones},
			tensor{block + "ffn_gate.weight", []uint64{embedding, feedForward}, noise(0.2)},
			tensor{block + "ffn_up.weight", []uint64{embedding, feedForward}, noise(0.2)},
			tensor{block + "ffn_down.weight", []uint64{feedForward, embedding}, closed(0.1, feedForward)},
		)
	}
	return append(tensors,
		tensor{"output_norm.weight", []uint64{embedding}, ones},
		tensor{"output.weight", []uint64{embedding, words}, first(noise(0.3), v.bias)},
	)
}

type pair struct {
	key   string
	value any
}

func metadata(v vocabulary, blocks int) []pair {
	return []pair{
		{"general.architecture", "llama"},
		{"general.name", "tiny"},
		{"general.file_type", uint32(0)},
		{"general.alignment", uint32(alignment)},
		{"llama.vocab_size", uint32(len(v.tokens))},
		{"llama.context_length", uint32(Context)},
		{"llama.embedding_length", uint32(embedding)},
		{"llama.block_count", uint32(blocks)},
		{"llama.feed_forward_length", uint32(feedForward)},
		{"llama.attention.head_count", uint32(heads)},
		{"llama.attention.head_count_kv", uint32(heads)},
		{"llama.attention.layer_norm_rms_epsilon", float32(1e-5)},
		{"llama.rope.dimension_count", uint32(embedding / heads)},
		{"tokenizer.ggml.model", "llama"},
		{"tokenizer.ggml.tokens", v.tokens},
		{"tokenizer.ggml.scores", v.scores},
		{"tokenizer.ggml.token_type", v.types},
		{"tokenizer.ggml.unknown_token_id", uint32(0)},
		{"tokenizer.ggml.bos_token_id", uint32(1)},
		{"tokenizer.ggml.eos_token_id", uint32(2)},
	}
}

// file writes little-endian values and keeps the first error.
type file struct {
	*bufio.Writer
	written int
	err     error
}

func (f *file) raw(b []byte) {
	if f.err == nil {
		var n int
		n, f.err = f.Write(b)
		f.written += n
	}
}

func (f *file) number(v any) {
	if x, ok := v.(float32); ok { // by far the most
		f.raw(binary.LittleEndian.AppendUint32(nil, math.Float32bits(x)))
		return
	}
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if f.err == nil {
		f.err = err
	}
	f.raw(b)
}

func (f *file) text(s string) {
	f.number(uint64(len(s)))
	f.raw([]byte(s))
}

func (f *file) value(v any) {
	switch v := v.(type) {
	case uint32:
		f.number(uint32(typeUint32))
		f.number(v)
	case float32:
		f.number(uint32(typeFloat32))
		f.number(v)
	case string:
		f.number(uint32(typeString))
		f.text(v)
	case []string:
		f.array(typeString, len(v))
		for _, s := range v {
			f.text(s)
		}
	case []float32:
		f.array(typeFloat32, len(v))
		f.number(v)
	case []int32:
		f.array(typeInt32, len(v))
		f.number(v)
	}
}

func (f *file) array(kind uint32, length int) {
	f.number(uint32(typeArray))
	f.number(kind)
	f.number(uint64(length))
}

func (f *file) align() {
	f.raw(make([]byte, (alignment-f.written%alignment)%alignment))
}
