package rpc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNoticesAreLikeNotifications(t *testing.T) {
	t.Parallel()
	var n Notice
	for _, params := range []string{
		`{"text":"a"}`, `{"text":"b","index":1,"_meta":{"x":1}}`, `{}`, `{"x":{"y":[1]}}`, `{`, `[]`, `{"text":"c"}`, `{"text":"d"}`, `{"a":1,"a":2}`, `{"name":"\ud800"}`, `{"_meta":{"x":2}}`, `{"text":"h"}`, ``, `{"text":"i"}`,
		`{"text":"j"}`, `{"text":"kk\n\"\\"}`, `{"text":""}`, `{"text":"l"]`, `{"text":"m"`, `{"text":"n}`, `{"text":"o"}}`, `{"text":"p","x":"q"}`, `{"text":"\x01"}`,
		`{"text":"r"}`, `{"text":7}`, `{"text":"s"}`, `{"text":"\xff"}`, `{"text":"t"}`, `{"text":"u" }`, `{ "text":"v"}`, `{"name":"w"}`, `{"name":"\ud800"}`, `{"name":"x"}`,
	} {
		var text []byte
		if params != "" {
			text = []byte(params)
		}
		want := string(NewNotification("chunk", text).AppendTo(nil))
		if got := n.Make("chunk", text); got.Method != "chunk" || string(got.Params) != params || !got.IsNotification() {
			t.Errorf("%s: %+v", params, got)
		}
		for name, wants := range map[string]string{
			"as it is": want,
			"forked":   string(n.Make("chunk", text).Fork().AppendTo(nil)),
			"cloned":   string(n.Make("chunk", text).Clone().AppendTo(nil)),
		} {
			if wants != want {
				t.Errorf("%s, %s: %s, want %s", params, name, wants, want)
			}
		}
		if got := n.Make("chunk", text); got.Size() < len(text) || string(got.AppendTo(nil)) != want {
			t.Errorf("%s: %s, want %s", params, got.AppendTo(nil), want)
		}
		for do, f := range map[string]func(m *Message) any{
			"text":      func(m *Message) any { v, _ := m.Text("text"); return v },
			"meta":      func(m *Message) any { v, _ := m.Meta("x"); return string(v) },
			"only text": func(m *Message) any { return m.HasOnly("text") },
			"only x":    func(m *Message) any { return m.MetaHasOnly("x") },
			"versioned": func(m *Message) any { return m.Versioned() },
			"set":       func(m *Message) any { m.Set("more", []byte("1")); return string(m.AppendTo(nil)) },
			"set meta":  func(m *Message) any { m.SetMeta("more", []byte("1")); return string(m.AppendParams(nil)) },
			"set id":    func(m *Message) any { m.SetID(NumberID(7)); return string(m.AppendTo(nil)) },
			"params":    func(m *Message) any { return string(m.AppendParams(nil)) },
		} {
			if diff := cmp.Diff(f(NewNotification("chunk", text)), f(n.Make("chunk", text))); diff != "" && !strings.Contains(want, "bad message") {
				t.Errorf("%s, %s: %s", params, do, diff)
			}
		}
	}
}

func TestNoticesReuseTheirMemory(t *testing.T) { //nolint:paralleltest // allocations are counted
	var n Notice
	text := []byte(`{"text":"some words"}`)
	if got := testing.AllocsPerRun(100, func() { n.Make("chunk", text) }); got > 0 {
		t.Errorf("%v allocations", got)
	}
}
