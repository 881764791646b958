package rpc_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		`{}`:                         map[string]any{},
		`{"a":[1,-2.5,1e2,"x\n"]}`:   map[string]any{"a": []any{int64(1), -2.5, 100.0, "x\n"}},
		`[true,false,null,[]]`:       []any{true, false, nil, []any{}},
		`9007199254740993`:           int64(9007199254740993),
		`18446744073709551616`:       18446744073709551616.0,
		`{"a":{"b":{"c":"\u00e9"}}}`: map[string]any{"a": map[string]any{"b": map[string]any{"c": "é"}}},
	} {
		got, err := rpc.Decode([]byte(text))
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, cmp.Diff(want, got), err)
		}
	}
	for _, text := range []string{``, `{"a":1,"a":2}`, `[{"a":1,"\u0061":2}]`, `"\ud800"`, `1e999`, `{"a":["\udc00"]}`} {
		if got, err := rpc.Decode([]byte(text)); err == nil {
			t.Errorf("%s is read as %v", text, got)
		}
	}
}
