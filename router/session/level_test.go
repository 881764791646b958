package session

import (
	"errors"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestSetLevel(t *testing.T) {
	t.Parallel()
	r := registry(t, Config{}, keyring(t))
	s := resumed(t, r, opened(t, r, client))
	row, ok := mcp.Lookup(mcp.SetLevel, mcp.LatestLegacy)
	if !ok {
		t.Fatal("no row")
	}
	set := func(params string) error {
		_, err := r.Handle(t.Context(), call(s, row, rpc.NewRequest(rpc.NumberID(1), mcp.SetLevel, []byte(params))))
		return err
	}
	if got := s.Client().LogLevel; got != "" {
		t.Errorf("at first: %q", got)
	}
	if err := set(`{"level":"notice"}`); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`{}`, `{"level":"loud"}`, `{"level":3}`, `{"level":"NOTICE"}`} {
		if e, ok := errors.AsType[*rpc.Error](set(bad)); !ok || e.Code != rpc.InvalidParams {
			t.Errorf("%s: %v", bad, e)
		}
	}
	if got := s.Client().LogLevel; got != "notice" {
		t.Errorf("after all: %q", got)
	}
}
