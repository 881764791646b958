package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/telemetry"
)

// logged passes a call, which may be traced, through an access log at a level, with a handler that gives this answer after two
// seconds or fails after one, and returns what was written.
func logged(t *testing.T, c config.Logs, level string, call *rpc.Call, traced bool, answer *rpc.Message, failure error) string {
	t.Helper()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, level, "json")
	if err != nil {
		t.Fatal(err)
	}
	call.Received, call.Record = time.Now(), &rpc.Record{}
	if traced {
		call.Record.Trace = rpc.Trace{ID: rpc.TraceID{10}, Span: rpc.SpanID{11}, Sampled: true}
	}
	h := rpc.Observe(NewAccessLog(t.Context(), c, log))(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		time.Sleep(time.Second)
		if failure != nil {
			return nil, failure
		}
		call.Record.Waited("files", time.Second)
		attempt := call.Record.Try(rpc.Hop{Upstream: "files"})
		time.Sleep(time.Second)
		attempt.Saw(answer)
		return rpc.Respond(answer), nil
	}))
	if reply, err := h.Handle(t.Context(), call); err == nil {
		_, _ = reply.Next()
		_ = reply.Close()
	}
	return out.String()
}

// observedCall is a call of which everything is known.
func observedCall() *rpc.Call {
	c := testCall()
	c.Endpoint, c.Remote = "/mcp", netip.MustParseAddrPort("192.0.2.7:4711")
	c.Target = rpc.Target{Kind: rpc.Tool, Upstream: "files", Canonical: "files__read", Own: "read"}
	c.Client = rpc.Client{Session: "0123456789abcdef0123456789abcdef"}
	return c
}

func TestAccessLogLines(t *testing.T) {
	t.Parallel()
	id := rpc.NumberID(1)
	fine := rpc.NewResult(id, []byte(`{"content":[]}`))
	all := config.Logs{Access: "all", Sample: 100}
	about := `"method":"tools/call","endpoint":"/mcp","status":"`
	by := `"remote":"192.0.2.7:4711","request_id":"1","session_id":"0123456789ab","upstream":"files","target":"files__read"`
	asked := `,"attempts":1,"upstream_duration":1.000000,"queue_wait":1.000000`
	for name, tc := range map[string]struct {
		logs    config.Logs
		level   string
		traced  bool
		answer  *rpc.Message
		failure error
		want    string // without what every line begins with; empty for no line
	}{
		"served":    {logs: all, answer: fine, want: `INFO ` + about + `ok","duration":2.000000,` + by + asked},
		"traced":    {logs: all, answer: fine, traced: true, want: `INFO "trace_id":"0a000000000000000000000000000000","span_id":"0b00000000000000",` + about + `ok","duration":2.000000,` + by + asked},
		"tool":      {logs: all, answer: rpc.NewResult(id, []byte(`{"isError":true}`)), want: `INFO ` + about + `tool_error","duration":2.000000,` + by + asked},
		"server":    {logs: all, answer: rpc.NewError(id, &rpc.WireError{Code: -32602}), want: `INFO ` + about + `error","duration":2.000000,` + by + asked + `,"code":-32602`},
		"ours":      {logs: all, failure: errors.New("defect"), want: `WARN ` + about + `internal","duration":1.000000,` + by + `,"error":"defect"`},
		"upstream":  {logs: config.Logs{Access: "failed"}, failure: rpc.Errorf(rpc.UpstreamDown, "gone"), want: `WARN ` + about + `upstream_down","duration":1.000000,` + by + `,"error":"upstream_down: gone"`},
		"client":    {logs: config.Logs{Access: "failed"}, failure: rpc.Errorf(rpc.InvalidParams, "no"), want: `INFO ` + about + `invalid_params","duration":1.000000,` + by + `,"error":"invalid_params: no"`},
		"not asked": {logs: config.Logs{Access: "failed"}, answer: fine},
		"of none":   {logs: config.Logs{Access: "none"}, failure: rpc.Errorf(rpc.UpstreamDown, "gone")},
		"of 0%":     {logs: config.Logs{Access: "all"}, answer: fine},
		"failed, of 0%": {
			logs: config.Logs{Access: "all"}, answer: rpc.NewError(id, &rpc.WireError{Code: 1}), want: `INFO ` + about + `error","duration":2.000000,` + by + asked + `,"code":1`,
		},
		"debug": {logs: config.Logs{Access: "none"}, level: "debug", answer: fine, want: `DEBUG ` + about + `ok","duration":2.000000,` + by + asked},
		"warn":  {logs: all, level: "warn", answer: fine},
	} {
		synctest.Test(t, func(t *testing.T) {
			if tc.level == "" {
				tc.level = "info"
			}
			call := observedCall()
			got := logged(t, tc.logs, tc.level, call, tc.traced, tc.answer, tc.failure)
			if tc.want != "" {
				level, rest, _ := strings.Cut(tc.want, " ")
				at := call.Received.Add(2 * time.Second)
				if tc.failure != nil {
					at = call.Received.Add(time.Second)
				}
				tc.want = `{"timestamp":"` + at.UTC().Format(time.RFC3339Nano) + `","level":"` + level + `","component":"access","msg":"call",` + rest + "}\n"
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

// Nothing of what a client sends can forge a line or fill the disk, whoever writes it.
func TestAccessLogIsBounded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	long := strings.Repeat("x\n\x1b", 1<<16)
	call := observedCall()
	call.Message = rpc.NewRequest(rpc.StringID(long), long, nil)
	call.Method = &rpc.Method{Name: long}
	call.Target.Canonical, call.Received, call.Record = "https://u:p@example.com/"+long, time.Now(), &rpc.Record{}
	h := rpc.Observe(NewAccessLog(t.Context(), config.Logs{}, slog.New(slog.NewJSONHandler(&out, nil))))(
		rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return nil, errors.New(long) }))
	_, _ = h.Handle(t.Context(), call)
	if line := out.String(); strings.Count(line, "\n") != 1 || strings.ContainsRune(line, 0x1b) || len(line) > 8<<10 || strings.Contains(line, "u:p@") {
		t.Errorf("%d bytes: %.300s", len(line), line)
	}
}

func TestMessagesAreShown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "debug", "json")
	if err != nil {
		t.Fatal(err)
	}
	call := observedCall()
	call.Message = rpc.NewRequest(rpc.NumberID(7), "tools/call", []byte(`{"name":"read","arguments":{"b":1.0,"a":"x","password":"correct horse battery"}}`))
	answer := rpc.NewResult(rpc.NumberID(7), []byte(`{"content":[{"type":"text","text":"`+strings.Repeat("word ", 1000)+`"}]}`))
	h := Messages(log)(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.Respond(answer), nil }))
	reply, err := h.Handle(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := reply.Next(); m != answer || err != nil {
		t.Errorf("the reply is %v, %v", m, err)
	}
	_ = reply.Answer(rpc.NewResult(rpc.StringID("q"), []byte(`{"action":"accept"}`)))
	_ = reply.Close()
	type event struct {
		Level, Component, Msg, Direction, Method, Raw string
		RequestID                                     string `json:"request_id"`
		SessionID                                     string `json:"session_id"`
		Bytes                                         int
	}
	var got []event
	for d := json.NewDecoder(&out); ; {
		var e event
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(e.Raw) > 2100 {
			t.Errorf("%d bytes of a message", len(e.Raw))
		}
		e.Raw = e.Raw[:min(len(e.Raw), 120)]
		got = append(got, e)
	}
	base := event{Level: "DEBUG", Component: "message", Msg: "message", Method: "tools/call", RequestID: "7", SessionID: "0123456789ab"}
	asked, answered, accepted := base, base, base
	asked.Direction, asked.Bytes = "from client", call.Message.Size()
	asked.Raw = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read","arguments":{"b":1.0,"a":"x","password":"[redacted`
	answered.Direction, answered.Bytes = "to client", answer.Size()
	answered.Raw = (`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"` + strings.Repeat("word ", 30))[:120]
	accepted.Direction = "from client"
	accepted.Raw = `{"jsonrpc":"2.0","id":"q","result":{"action":"accept"}}`
	accepted.Bytes = len(accepted.Raw)
	if diff := cmp.Diff([]event{asked, answered, accepted}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkAccessLog(b *testing.B) {
	logs, err := telemetry.OpenLogs(b.Context(), telemetry.LogConfig{Level: "info", Format: "json", To: io.Discard, Secrets: []string{"correct horse battery"}})
	if err != nil {
		b.Fatal(err)
	}
	l := NewAccessLog(b.Context(), config.Logs{Access: "all", Sample: 100}, logs.Logger)
	c := observedCall()
	c.Record = &rpc.Record{}
	c.Record.Try(rpc.Hop{Upstream: "files"}).Saw(rpc.NewResult(c.Message.ID, []byte(`{}`)))
	b.ReportAllocs()
	for b.Loop() {
		l.End(c)
	}
}
