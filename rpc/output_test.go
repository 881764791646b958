package rpc_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
)

// The parts of a model's answer are told apart by the times between them. What is no model's has no such thing.
func TestOutputOfAModel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &rpc.Record{}
		plain := r.Try(rpc.Hop{})
		plain.Saw(rpc.NewNotification("notifications/progress", nil))
		plain.Saw(rpc.NewResult(rpc.NumberID(1), []byte(`{"finish_reason":"x"}`)))
		if plain.Attempt().Output != nil {
			t.Error("an attempt that used nothing has an output")
		}
		model := r.Try(rpc.Hop{})
		for i, wait := range []time.Duration{time.Hour, 10 * time.Millisecond, 11 * time.Millisecond, 20 * time.Millisecond, 1000 * time.Second} {
			time.Sleep(wait)
			model.Uses(rpc.Usage{Output: int64(i + 1)})
			model.Saw(rpc.NewNotification("chunk", []byte(`{}`)))
		}
		model.Saw(rpc.NewResult(rpc.NumberID(1), []byte(`{"finish_reason":"stop"}`)))
		model.Saw(rpc.NewNotification("chunk", []byte(`{}`)))
		o := model.Attempt().Output
		if o == nil || o.Chunks != 5 || o.Finish != "stop" || o.Waited != 1000*time.Second+41*time.Millisecond {
			t.Fatalf("%+v", o)
		}
		if o.Gaps[0] != 1 || o.Gaps[1] != 2 || o.Gaps[len(o.Gaps)-1] != 1 {
			t.Errorf("gaps %v", o.Gaps)
		}
		if limits := rpc.GapLimits(); limits[0] != 10*time.Millisecond || limits[1] != 20*time.Millisecond {
			t.Errorf("limits %v", limits)
		}
	})
}
