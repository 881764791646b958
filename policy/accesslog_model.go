package policy

import (
	"log/slog"

	"github.com/headgate/headgate/rpc"
)

// appendModel says what a call has used of a model: tokens, and when the first part of its answer came.
func appendModel(out []slog.Attr, r *rpc.Record) []slog.Attr {
	used := r.Usage()
	if used == (rpc.Usage{}) {
		return out
	}
	out = append(out, slog.Int64("input_tokens", used.Input), slog.Int64("output_tokens", used.Output))
	if used.Cached > 0 {
		out = append(out, slog.Int64("cached_tokens", used.Cached))
	}
	if used.Estimated {
		out = append(out, slog.Bool("estimated", true))
	}
	for t := r.First(); t != nil; t = t.Next() {
		if a := t.Attempt(); a.Output != nil && a.Output.Chunks > 0 {
			return append(out, slog.Duration("ttft", a.First))
		}
	}
	return out
}
