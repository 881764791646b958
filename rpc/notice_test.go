package rpc

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNoticesAreLikeNotifications(t *testing.T) {
	t.Parallel()
	var n Notice
	for _, params := range []string{
		`{"text":"a"}`, `{"text":"b","index":1,"_meta":{"x":1}}`, `{}`, `{"x":{"y":[1]}}`, `{`, `[]`, `{"text":"c"}`, `{"text":"d"}`, `{"text":"e"} `, `{"text":"f"},"x":1`, `{"a":1,"a":2}`, `{"name":"\ud800"}`, ` {"text":"g"}`, `{"_meta":{"x":2}}`, `{"text":"h"}`, ``, `{"text":"i"}`,
		`{"text":"j"}`, `{"text":"kk\n\"\\"}`, `{"text":""}`, `{"text":"l"]`, `{"text":"m"`, `{"text":"n}`, `{"text":"o"}}`, `{"text":"p","x":"q"}`, `{"text":"\x01"}`,
		`{"text":"r"}`, `{"text":7}`, `{"text":"s"}`, `{"text":"\xff"}`, `{"text":"t"}`, `{"text":"u" }`, `{ "text":"v"}`, `{"name":"w"}`, `{"name":"\ud800"}`, `{"name":"x"}`,
	} {
		var text []byte
		if params != "" {
			text = []byte(params)
		}
		got, want := n.Make("chunk", text), NewNotification("chunk", text)
		if diff := cmp.Diff(string(want.AppendTo(nil)), string(got.AppendTo(nil))); diff != "" {
			t.Errorf("%s: %s", params, diff)
		}
		a, _ := got.Text("text")
		b, _ := want.Text("text")
		_, ours := got.Meta("x")
		_, theirs := want.Meta("x")
		if a != b || ours != theirs || got.Method != want.Method || string(got.Params) != string(want.Params) || got.IsNotification() != want.IsNotification() {
			t.Errorf("%s: %+v", params, got)
		}
	}
}

func TestNoticesReuseTheirMemory(t *testing.T) { //nolint:paralleltest // allocations are counted
	var n Notice
	text := []byte(`{"text":"some words"}`)
	if got := testing.AllocsPerRun(100, func() { n.Make("chunk", text) }); got > 1 { // the name of the method
		t.Errorf("%v allocations", got)
	}
}
