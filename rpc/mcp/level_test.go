package mcp_test

import (
	"testing"

	"github.com/headgate/headgate/rpc/mcp"
)

func TestSeverity(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]int{"debug": 1, "info": 2, "warning": 4, "emergency": 8, "": 0, "INFO": 0, "trace": 0} {
		if got := mcp.Severity(level); got != want {
			t.Errorf("%q: %d, want %d", level, got, want)
		}
	}
}
