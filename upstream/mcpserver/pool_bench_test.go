package mcpserver

import (
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// BenchmarkPoolOfOne is what a pool adds to the server that is all of it.
func BenchmarkPoolOfOne(b *testing.B) {
	doer := &instant{
		result:    `{"content":[{"type":"text","text":"` + strings.Repeat("x", 256) + `"}]}`,
		handshake: `{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"]}}`,
	}
	p, err := NewPool(config.Upstream{Name: "x", URL: "http://127.0.0.1:1/", Era: "modern", Timeout: time.Minute}, Deps{Log: discardLog}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.Close(b.Context()) }()
	s := (*p.members.Load())[0].server
	s.dial.(*httpDialer).client = doer
	if _, err := p.Describe(b.Context()); err != nil {
		b.Fatal(err)
	}
	m, err := rpc.Parse([]byte(modernToolCall("1", "echo", `{}`)), rpc.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	c := &rpc.Call{Message: m, Method: &rpc.Method{Name: "tools/call", Subject: "name"}, Client: modernClient(), Target: rpc.Target{Own: "echo"}}
	for name, h := range map[string]rpc.Handler{"server": s, "pool": p} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				reply, err := h.Handle(b.Context(), c)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := reply.Next(); err != nil {
					b.Fatal(err)
				}
				_ = reply.Close()
			}
		})
	}
}
