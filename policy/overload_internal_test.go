package policy

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// Batch goes first, then everybody; when memory is free again everything passes, and at 100% nothing is ever refused.
func TestOverloadShedsBatchFirst(t *testing.T) {
	t.Parallel()
	tests := []struct {
		shed, refuse, share         int64
		normal, batch, notification bool
	}{
		{92, 95, 50, true, true, true},
		{92, 95, 91, true, true, true},
		{92, 95, 92, true, false, true},
		{92, 95, 95, false, false, true},
		{92, 95, 140, false, false, true},
		{92, 100, 140, true, false, true},
		{100, 100, 140, true, true, true},
	}
	var share int64
	for _, test := range tests {
		o := NewOverload(config.Overload{Memory: 1000, ShedAt: config.Percent(test.shed), RefuseAt: config.Percent(test.refuse)}, func(p *rpc.Principal) config.Priority {
			return config.Priority{Band: map[bool]string{true: "batch", false: "default"}[p.Key == "nightly"]}
		})
		o.used = func() int64 { return share * 10 }
		share = test.share
		h := o.Shed(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.Respond(nil), nil }))
		pass := func(key string, m *rpc.Message) bool {
			_, err := h.Handle(t.Context(), &rpc.Call{Message: m, Received: time.Now(), Principal: rpc.Principal{Key: key}, Record: &rpc.Record{}})
			if e := rpc.AsError(err); err != nil && (e.Code != rpc.Overloaded || !e.NotRun || e.RetryAfter == 0) {
				t.Errorf("refused with %+v", e)
			}
			return err == nil
		}
		request := rpc.NewRequest(rpc.NumberID(1), "tools/call", nil)
		if got := pass("dev", request); got != test.normal {
			t.Errorf("%+v: a call passes: %t", test, got)
		}
		if got := pass("nightly", request); got != test.batch {
			t.Errorf("%+v: a call of batch passes: %t", test, got)
		}
		if got := pass("nightly", rpc.NewNotification("notifications/cancelled", nil)); got != test.notification {
			t.Errorf("%+v: a notification passes: %t", test, got)
		}
		want := OverloadStatus{Limit: 1000, Percent: int(test.share)}
		switch {
		case !test.normal:
			want.Refused = 2
		case !test.batch:
			want.Batch = 1
		}
		if got := o.Status(); got != want {
			t.Errorf("status %+v, want %+v", got, want)
		}
	}
}

// The memory is read as calls come, and not by each of them.
func TestOverloadLooksNowAndThen(t *testing.T) {
	t.Parallel()
	looks := 0
	o := NewOverload(config.Overload{Memory: 1000, ShedAt: 92, RefuseAt: 95}, nil)
	o.used = func() int64 { looks++; return 0 }
	for i := range 1000 {
		o.read(o.began.Add(time.Duration(i) * time.Millisecond))
	}
	if looks != 10 {
		t.Errorf("%d looks in a second", looks)
	}
}

func TestWithoutALimitOfMemoryNothingIsInTheWay(t *testing.T) {
	t.Parallel()
	var o *Overload
	next := rpc.Respond(nil)
	h := o.Shed(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return next, nil }))
	if got, err := h.Handle(t.Context(), &rpc.Call{}); got != next || err != nil {
		t.Error(got, err)
	}
	if o.Status() != (OverloadStatus{}) {
		t.Error(o.Status())
	}
}

// What is alive counts, and what can be collected does not.
func TestMemoryInUseIsWhatIsAlive(t *testing.T) {
	before := memoryInUse()
	const size = 64 << 20
	block := make([]byte, size)
	for i := range block {
		block[i] = 1
	}
	runtime.GC()
	alive := memoryInUse()
	runtime.KeepAlive(block)
	block = nil //nolint:ineffassign,wastedassign // nothing else may hold it
	runtime.GC()
	after := memoryInUse()
	if alive-before < size*3/4 || alive-after < size*3/4 {
		t.Errorf("in use: %d, with %d more %d, without it %d", before, size, alive, after)
	}
}

func TestGroupLimit(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		own   string
		files map[string]string
		want  int64
	}{
		"version 2":          {"0::/a/b\n", map[string]string{"a/b/memory.max": "536870912\n"}, 512 << 20},
		"of a group around":  {"0::/a/b\n", map[string]string{"a/b/memory.max": "max\n", "a/memory.max": "1073741824\n"}, 1 << 30},
		"the least":          {"0::/a/b\n", map[string]string{"a/b/memory.max": "5000\n", "a/memory.max": "4000\n"}, 4000},
		"inside a container": {"0::/\n", map[string]string{"memory.max": "4096\n"}, 4096},
		"version 1":          {"9:memory:/x\n3:cpu:/y\n", map[string]string{"memory/x/memory.limit_in_bytes": "4096\n", "y/memory.max": "1"}, 4096},
		"version 1, none":    {"9:memory:/x\n", map[string]string{"memory/x/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"none":               {"0::/a\n", map[string]string{"a/memory.max": "max\n"}, 0},
		"outside":            {"0::/../../a\n", map[string]string{"a/memory.max": "77\n"}, 77},
		"nonsense":           {"what\n", nil, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			for file, text := range test.files {
				file = filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			own := filepath.Join(root, "own")
			if err := os.WriteFile(own, []byte(test.own), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := groupLimit(own, root); got != test.want {
				t.Errorf("limit %d, want %d", got, test.want)
			}
		})
	}
	if got := groupLimit(filepath.Join(t.TempDir(), "none"), "/"); got != 0 {
		t.Errorf("without control groups: %d", got)
	}
}
