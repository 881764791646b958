package policy

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
)

func testCall() *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), "tools/call", nil),
		Method:  &rpc.Method{Name: "tools/call"},
	}
}

func TestRecoverAnswersForAPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	broken := rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { panic("secret detail") })
	reply, err := Recover(slog.New(slog.NewTextHandler(&log, nil)))(broken).Handle(t.Context(), testCall())
	if reply != nil || rpc.AsError(err).Code != rpc.Internal {
		t.Fatalf("got %v, %v; want an internal error", reply, err)
	}
	if strings.Contains(rpc.AsError(err).Message, "secret") {
		t.Errorf("the client would see %q", rpc.AsError(err).Message)
	}
	if !strings.Contains(log.String(), "secret detail") {
		t.Errorf("the log lacks the panic: %s", log.String())
	}
}

func TestAccessLogTellsWhoseFaultItWas(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want string // level of the line at info, empty for none
	}{
		{"served", nil, ""},
		{"the client's", rpc.Errorf(rpc.InvalidParams, "no such tool"), "INFO"},
		{"the upstream's", rpc.Errorf(rpc.UpstreamDown, "gone"), "WARN"},
		{"ours", errors.New("defect"), "WARN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			next := rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.Respond(nil), tt.err })
			_, _ = AccessLog(slog.New(slog.NewTextHandler(&out, nil)))(next).Handle(t.Context(), testCall())
			if tt.want == "" && out.Len() > 0 || tt.want != "" && !strings.Contains(out.String(), "level="+tt.want) {
				t.Errorf("log = %q, want level %q", out.String(), tt.want)
			}
		})
	}
}
