package mcpserver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

func TestBlame(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line     string
		whole    bool
		response bool
		id       uint64 // 0 if it cannot be told
	}{
		{`{"jsonrpc":"2.0","id":7,"result":{"x":"` + "\xff", true, true, 7},
		{`{"id":"7", "jsonrpc":"2.0","result":{`, true, true, 7},
		{` { "jsonrpc" : "2.0" , "id" : 12 , "result":`, true, true, 12},
		{`{"result":{"text":"` + "\xff" + `"},"jsonrpc":"2.0","id":3}`, true, true, 3},
		{`{"jsonrpc":"2.0","result":{"text":"` + "\xff" + `"},"id":"3"} `, true, true, 3},
		{`{"jsonrpc":"2.0","result":{"id":7}}`, true, true, 0},
		{`{"jsonrpc":"2.0","result":"\"id\":7}`, true, true, 0},
		{`{"result":{"text":"xxxxxxxxxxx`, false, true, 0},
		{`{"result":{"text":"xxxxxxxxxxx`, true, false, 0},
		{`{"jsonrpc":"2.0","method":"x","params":`, true, false, 0},
		{`{"jsonrpc":"2.0","id":7,"method":"roots/list","params":`, true, false, 7},
		{`{"level":"info","id":7,"msg":"hello"}`, true, false, 0},
		{`{"id":7,"msg":"hello"}`, true, false, 7},
		{`sent {"jsonrpc":"2.0","id":7,"result":{}}`, true, false, 0},
		{`{"jsonrpc":"2.0","id":99999999999999999999,"result":`, true, true, 0},
		{``, true, false, 0},
		{`{"jsonrpc":"2.0","padding":"` + strings.Repeat("x", 300) + `","id":7,"result"`, true, true, 0},
	} {
		if got := looksLikeResponse([]byte(test.line), test.whole); got != test.response {
			t.Errorf("%q: looks like a response: %v", test.line, got)
		}
		if got, _ := blamed([]byte(test.line)); got != test.id {
			t.Errorf("%q: id %d, want %d", test.line, got, test.id)
		}
	}
}

// FuzzReceive lets a process write any line while calls are in flight. Whatever it is, each call sees at
// most one response, and only one with its own id.
func FuzzReceive(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{}}`, `{"jsonrpc":"2.0","id":"2","result":{}}`, `{"jsonrpc":"2.0","id":1.0,"error":{"code":1,"message":"m"}}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}`, `{"jsonrpc":"2.0","id":3,"method":"elicitation/create"}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`,
		`{"jsonrpc":"2.0","method":"notifications/message"}`, `{"jsonrpc":"2.0","id":1,"result"`, "banner",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, lines []byte, private bool) {
		c, calls := unconnected(private)
		for line := range strings.SplitSeq(string(lines), "\n") {
			c.receive(t.Context(), &buffer{[]byte(line)})
		}
		for i, k := range calls {
			responses := 0
			k.box.fail(errCallClosed) // so that Next does not wait
			for {
				m, err := k.Next()
				if err != nil {
					break
				}
				if m.IsResponse() {
					responses++
					if id := fmt.Sprintf(`"client-%d"`, i); m.ID.Raw() != id || !strings.Contains(textOf(m), id) {
						t.Errorf("call %d got %s", i, textOf(m))
					}
				}
			}
			if responses > 1 {
				t.Errorf("%d responses", responses)
			}
			_ = k.Close()
		}
		c.queue.close()
	})
}

// unconnected returns a link without a process, and two calls in flight on it.
func unconnected(private bool) (*stdioConn, []*duplexCall) {
	var caps []byte
	if private {
		caps = []byte(`{"elicitation":{}}`)
	}
	s := &Server{
		cfg: config.Upstream{Timeout: time.Minute, MaxTimeout: time.Hour}, fault: fault{"x"}, log: discardLog, life: newLifetime(),
	}
	d := &stdioDialer{s: s, maxResult: 1 << 20}
	c := newStdioConn(d, nil)
	c.spoken.Store(newHop(rpc.Legacy, "2025-11-25", nil, caps))
	var calls []*duplexCall
	for i := range 2 {
		m := rpc.NewRequest(rpc.StringID(fmt.Sprintf("client-%d", i)), "tools/call", []byte(`{"_meta":{"progressToken":"t"}}`))
		source, err := c.send(context.Background(), newExchange(&rpc.Call{Message: m, Method: &rpc.Method{}}, c.hop()))
		if err != nil {
			panic(err)
		}
		k := source.(*duplexCall)
		k.conn.s.cfg.Timeout = 1 << 40
		calls = append(calls, k)
	}
	return c, calls
}

// What answers one of several calls, nobody knows which, takes none of them out of flight.
func TestAnAnswerToNobodyInParticularLosesNoCall(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		`{"jsonrpc":"2.0","id":[1],"result":{}}`,
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}`,
	} {
		c, calls := unconnected(false)
		for range 10 {
			c.receive(t.Context(), &buffer{[]byte(line)})
		}
		for i, k := range calls {
			c.receive(t.Context(), &buffer{fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"result":{}}`, k.x.id)})
			if m, err := k.Next(); err != nil || m.Result == nil {
				t.Errorf("after %s call %d: %v %v", line, i, m, err)
			}
		}
	}
}
