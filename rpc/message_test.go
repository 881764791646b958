package rpc_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
)

func TestReadMembers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"m","params":{"n\u0061me":"\u00e4", "n":1,"_meta":{"k":"v","o":{}}}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"n\u0061me":"\u00e4", "n":1,"_meta":{"k":"v","o":{}}}}`,
	} {
		m := parse(t, text)
		if err := m.CheckBody(); err != nil {
			t.Error(err)
		}
		if s, ok := m.Text("name"); !ok || s != "ä" {
			t.Errorf("Text(name) = %q, %v", s, ok)
		}
		if v, ok := m.Get("name"); !ok || string(v) != `"\u00e4"` {
			t.Errorf("Get(name) = %s, %v", v, ok)
		}
		if s, ok := m.MetaText("k"); !ok || s != "v" {
			t.Errorf("MetaText(k) = %q, %v", s, ok)
		}
		if v, ok := m.Meta("o"); !ok || string(v) != "{}" {
			t.Errorf("Meta(o) = %s, %v", v, ok)
		}
		for _, absent := range []string{"k", "Name", "n", "_meta"} {
			if s, ok := m.Text(absent); ok {
				t.Errorf("Text(%s) = %q", absent, s)
			}
		}
		for _, absent := range []string{"o", "name", ""} {
			if s, ok := m.MetaText(absent); ok {
				t.Errorf("MetaText(%s) = %q", absent, s)
			}
		}
	}
}

func TestCheckBody(t *testing.T) {
	t.Parallel()
	const head = `{"jsonrpc":"2.0","id":1,"result":`
	for result, want := range map[string]string{
		`{}`:                                "",
		`{"a":1,"A":2,"ID":3}`:              "",
		`{"content":[{"a":1,"a":2}]}`:       "",
		`{"_meta":null}`:                    "",
		`null`:                              "result is not an object at byte 33",
		`[]`:                                "result is not an object at byte 33",
		`"x"`:                               "result is not an object at byte 33",
		`{"a":1,"a":2}`:                     `duplicate member "a" at byte 40`,
		`{"a":1,"a":2,"b":3,"b":4}`:         `duplicate member "a" at byte 40`,
		`{"\ud800":1,"_meta":{"k":1}}`:      "names no character at byte 34",
		`{"x":1,"_meta":{"k":1,"k":2}}`:     `duplicate member "k" at byte 55`,
		`{"_meta":{"k":1},"_meta":{"k":2}}`: `duplicate member "_meta" at byte 50`,
	} {
		m := parse(t, head+result+"}")
		err := m.CheckBody()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", result, err, want)
		}
		if _, ok := m.Get("a"); ok && err != nil {
			t.Errorf("%s: a member of an unreadable body was read", result)
		}
		if _, ok := m.Meta("k"); ok && err != nil {
			t.Errorf("%s: _meta of an unreadable body was read", result)
		}
		if got := string(m.AppendTo(nil)); got != head+result+"}" {
			t.Errorf("%s became %s", result, got)
		}
	}
	if err := parse(t, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}`).CheckBody(); err != nil {
		t.Errorf("an error has no body to object to: %v", err)
	}
}

// TestReadersShareAMessage is for the race detector.
func TestReadersShareAMessage(t *testing.T) {
	t.Parallel()
	m := parse(t, `{"jsonrpc":"2.0","id":1,"result":{"a":1,"_meta":{"k":"v"}}}`)
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			m.Get("a")
			m.MetaText("k")
			f := m.Fork()
			f.SetID(rpc.NumberID(uint64(i)))
			f.SetMeta("k", []byte("null"))
			f.AppendTo(nil)
		})
	}
	readers.Wait()
}

func TestComposedMessages(t *testing.T) {
	t.Parallel()
	id := rpc.StringID("a\"b")
	for want, m := range map[string]*rpc.Message{
		`{"jsonrpc":"2.0","id":"a\"b","method":"tools\"list"}`:                  rpc.NewRequest(id, `tools"list`, nil),
		`{"jsonrpc":"2.0","id":7,"method":"m","params":{ "a":1 }}`:              rpc.NewRequest(rpc.NumberID(7), "m", []byte(`{ "a":1 }`)),
		`{"jsonrpc":"2.0","method":"n"}`:                                        rpc.NewNotification("n", nil),
		`{"jsonrpc":"2.0","method":"n","params":{}}`:                            rpc.NewNotification("n", []byte("{}")),
		`{"jsonrpc":"2.0","id":"a\"b","result":[1.0]}`:                          rpc.NewResult(id, []byte("[1.0]")),
		`{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no \"x\""}}`: rpc.NewError(rpc.NumberID(7), &rpc.WireError{Code: -32601, Message: `no "x"`}),
		`{"jsonrpc":"2.0","id":null,"error":{"code":101,"message":"","data":{"a":null}}}`: rpc.NewError(rpc.ID{}, &rpc.WireError{
			Code: 101, Data: []byte(`{"a":null}`),
		}),
	} {
		got := string(m.AppendTo(nil))
		if got != want {
			t.Errorf("composed %s, want %s", got, want)
		}
		again := parse(t, got)
		if again.ID != m.ID || again.Method != m.Method || cmp.Diff(again.Err, m.Err) != "" {
			t.Errorf("%s is read as another message than it was composed as", got)
		}
	}
	if err := (&rpc.WireError{Message: "why"}); err.Error() != "why" {
		t.Errorf("the text of a wire error is %q", err.Error())
	}
}

// TestBadComposition is about defects of our own: what is sent must still be a message.
func TestBadComposition(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]*rpc.Message{
		"result without id":  rpc.NewResult(rpc.ID{}, []byte("{}")),
		"request without id": rpc.NewRequest(rpc.ID{}, "m", nil),
		"broken result":      rpc.NewResult(rpc.NumberID(1), []byte("{")),
		"two results":        rpc.NewResult(rpc.NumberID(1), []byte(`{},"result":{}`)),
		"params array":       rpc.NewRequest(rpc.NumberID(1), "m", []byte("[]")),
		"broken data":        rpc.NewError(rpc.NumberID(1), &rpc.WireError{Code: 1, Data: []byte("}")}),
		"too deep":           rpc.NewResult(rpc.NumberID(1), []byte(strings.Repeat("[", 1<<16)+strings.Repeat("]", 1<<16))),
	} {
		if m.Err == nil || m.Err.Code != -32603 {
			t.Errorf("%s: no internal error but %+v", name, m)
		}
		if again := parse(t, string(m.AppendTo(nil))); again.Err == nil {
			t.Errorf("%s: sends %s", name, m.AppendTo(nil))
		}
	}
	if m := rpc.NewRequest(rpc.NumberID(9), "m", []byte("[]")); m.ID.Raw() != "9" {
		t.Errorf("the id that was readable is lost: %q", m.ID.Raw())
	}
}

func TestClone(t *testing.T) {
	t.Parallel()
	buffer := []byte(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":"kept"}}`)
	m, err := rpc.Parse(buffer, rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	m.SetID(rpc.NumberID(2))
	m.SetMeta("k", []byte("1"))
	c := m.Clone()
	for i := range buffer {
		buffer[i] = 'x'
	}
	const want = `{"jsonrpc":"2.0","id":2,"method":"m","params":{"a":"kept","_meta":{"k":1}}}`
	if got := string(c.AppendTo(nil)); got != want || c.ID.Raw() != "2" {
		t.Errorf("cloned %s with id %s, want %s", got, c.ID.Raw(), want)
	}
	if v, ok := c.Meta("k"); !ok || string(v) != "1" {
		t.Errorf("the clone's _meta has k = %s", v)
	}

	deep := strings.Repeat("[", rpc.MaxDepth-1) + strings.Repeat("]", rpc.MaxDepth-1)
	m, err = rpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"result":`+deep+`}`), rpc.Limits{Depth: rpc.MaxDepth})
	if err != nil {
		t.Fatal(err)
	}
	if c := m.Clone(); c.Err != nil || len(c.Result) != len(deep) {
		t.Errorf("what was parsed cannot be cloned: %v", c.Err)
	}
}
