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
		model, meter := r.Try(rpc.Hop{}), &rpc.Meter{}
		model.Metered(meter)
		for i, wait := range []time.Duration{time.Hour, 10 * time.Millisecond, 11 * time.Millisecond, 20 * time.Millisecond, 1000 * time.Second} {
			time.Sleep(wait)
			meter.Part(rpc.Usage{Output: int64(i + 1)})
			if used := r.Usage().Output; used != int64(i+1) {
				t.Errorf("%d used of %d", used, i+1)
			}
		}
		model.Saw(rpc.NewResult(rpc.NumberID(1), []byte(`{"finish_reason":"stop"}`)))
		meter.Part(rpc.Usage{Output: 100})
		o := model.Attempt().Output
		if r.Usage().Output != 5 || model.Attempt().Usage.Output != 5 {
			t.Error("what comes after the end counts")
		}
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
