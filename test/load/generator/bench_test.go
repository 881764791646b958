package generator

import (
	"strconv"
	"testing"
)

// BenchmarkCall measures what the generator itself adds to a call: building the request and checking the answer.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{256, 65536} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			c := &Config{Era: Modern, Payload: size}
			e := endpoint{address: "127.0.0.1:1", path: "/mcp", tool: "echo"}
			w := newWorker(c, []endpoint{e}, 0, "00000000")
			t := newTemplate(c, e, "", w.expect.payload)
			w.next()
			answer := []byte(`{"jsonrpc":"2.0","id":` + string(w.id) + `,"result":{"resultType":"complete","content":[{"type":"text","text":"` +
				string(w.nonce) + `"},{"type":"text","text":"` + string(w.expect.payload) + `"}]}}`)
			r := &response{head: head{status: 200}, body: answer}
			b.ReportAllocs()
			for b.Loop() {
				w.request = t.build(w.request, w.id, w.nonce)
				if f := w.expect.check(r); f != nil {
					b.Fatal(f)
				}
			}
		})
	}
}
