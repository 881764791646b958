package rpc_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// call returns a modern tools/call of about size bytes whose arguments are the
// text made by argument.
func call(size int, argument func(n int) string) []byte {
	const head = `{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"search","_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"arguments":`
	return []byte(head + argument(max(0, size-len(head)-2)) + `}}`)
}

// prose is lines of words in no order, with a quoted one or a letter beyond ASCII now
// and then.
func prose(n int) string {
	words := []string{"the", "gateway", "carries", "what", "it", "was", "given", "and", "adds", "nothing", "of", "its", "own"}
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, 0, n)
	for column := 0; len(text) < n-32; {
		word := words[random.IntN(len(words))]
		switch random.IntN(100) {
		case 0:
			word = `\"` + word + `\"`
		case 1:
			word = "café"
		}
		text = append(append(text, word...), ' ')
		if column += len(word) + 1; column > 72 {
			text, column = append(text, `\n`...), 0
		}
	}
	return `{"q":"` + string(text) + `"}`
}

// text is one long string in plain words.
func text(n int) string {
	return `{"q":"` + strings.Repeat("all work and no play ", n/21+1)[:max(0, n-8)] + `"}`
}

// rows are many small objects.
func rows(n int) string {
	var b strings.Builder
	b.WriteString(`{"rows":[`)
	for i := 0; b.Len() < n-64; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"row %d","ok":%t,"score":%d.25,"tags":["a","b"]}`, i, i, i%2 == 0, i)
	}
	b.WriteString(`]}`)
	return b.String()
}

func sizes() map[string][]byte {
	return map[string][]byte{
		"256B":             call(256, text),
		"64KiB-text":       call(64<<10, text),
		"64KiB-prose":      call(64<<10, prose),
		"64KiB-structured": call(64<<10, rows),
		"64KiB-non-ASCII":  call(64<<10, func(n int) string { return `{"q":"` + strings.Repeat("größe 大小 ", n/16) + `"}` }),
	}
}

func BenchmarkParse(b *testing.B) {
	for name, data := range sizes() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := rpc.Parse(data, rpc.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAppendTo writes a call as it goes to a legacy upstream: another id,
// another name, no modern keys.
func BenchmarkAppendTo(b *testing.B) {
	for name, data := range sizes() {
		m, err := rpc.Parse(data, rpc.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			out := make([]byte, 0, 2*len(data))
			for b.Loop() {
				f := m.Fork()
				f.SetID(rpc.NumberID(4711))
				f.Set("name", []byte(`"own"`))
				f.DropMeta("io.modelcontextprotocol/protocolVersion")
				f.DropMeta("io.modelcontextprotocol/clientCapabilities")
				out = f.AppendTo(out[:0])
			}
			if !bytes.Contains(out, []byte(`"own"`)) {
				b.Fatalf("%.300s", out)
			}
		})
	}
}

func BenchmarkParseResult(b *testing.B) {
	data := []byte(`{"jsonrpc":"2.0","id":17,"result":{"content":[{"type":"text","text":"` + strings.Repeat("fine ", 40) +
		`"}],"structuredContent":{"answer":42},"isError":false}}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := rpc.Parse(data, rpc.Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
