package upstream_test

import (
	"context"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// BenchmarkAdmission is what a call pays for a slot that is free: with a limit, and without one.
func BenchmarkAdmission(b *testing.B) {
	answer := rpc.NewResult(rpc.NumberID(1), []byte("{}"))
	next := rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.Respond(answer), nil })
	for name, slots := range map[string]int{"limit": 1 << 16, "none": 0} {
		b.Run(name, func(b *testing.B) {
			h := admission(slots).Before(next)
			c := callOf("acme", 0)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					reply, err := h.Handle(b.Context(), c)
					if err != nil {
						b.Fatal(err)
					}
					_, _ = reply.Next()
					_ = reply.Close()
				}
			})
		})
	}
}
