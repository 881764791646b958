package frame_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc/frame"
)

var sizes = []int{256, 64 << 10}

func message(size int) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"result":{"text":%q}}`, strings.Repeat("x", size))
}

func BenchmarkSSEReader(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			const events = 16
			stream := bytes.Repeat(frame.AppendEvent(nil, frame.Event{Data: message(size)}), events)
			src := bytes.NewReader(stream)
			r := frame.NewSSEReader(src, 1<<20)
			b.SetBytes(int64(len(stream)) / events)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%events == 0 {
					src.Reset(stream)
					r.Reset(src)
				}
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendEvent(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			msg := message(size)
			var dst []byte
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				dst = frame.AppendEvent(dst[:0], frame.Event{Data: msg})
			}
		})
	}
}

func BenchmarkLineReader(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			line := frame.AppendLine(nil, message(size))
			r := frame.NewLineReader(&repeated{line: line}, 1<<20)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// repeated is an endless stream of one line.
type repeated struct {
	line []byte
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.line[r.at:])
	r.at = (r.at + n) % len(r.line)
	return n, nil
}
