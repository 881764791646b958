package policy

import (
	"bytes"
	"context"
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
