package model_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream/model"
)

// What a pool of four costs a call whose backend answers at once.
func BenchmarkPool(b *testing.B) {
	of := newTroupe(4, answersIn(0, 1, 0))
	p, err := model.NewPool(modelOf(of, 64, nil), model.PoolDeps{
		Log: slog.New(slog.DiscardHandler), Life: b.Context(), Open: of.open,
		Rank: func(*rpc.Principal) config.Priority { return config.Priority{Band: "default", Weight: 1} },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // nothing could fail
	for name, prompt := range map[string]string{"short": "hello", "4KiB": strings.Repeat("x", 4096)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			c := unary(b, prompt)
			for b.Loop() {
				c.Record = &rpc.Record{}
				if _, err := finished(b.Context(), p, c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
