package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/headgate/headgate/test/fake"
)

func TestCommandReportsCallsAndFailures(t *testing.T) {
	t.Parallel()
	server := fake.New(fake.Config{Record: true, Tools: []fake.Tool{
		{Name: "echo", Behaviour: fake.Echo}, {Name: "bad", Behaviour: fake.Fail(fake.Error{Code: -5, Message: "no luck"})},
	}})
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)

	var out, errs bytes.Buffer
	args := []string{"-url", listener.URL, "-era", "legacy", "-connections", "2", "-calls", "10", "-o", "json", "-header", "X-Test: a"}
	if status := run(t.Context(), args, &out, &errs); status != 0 {
		t.Fatalf("status %d: %s", status, &errs)
	}
	var report struct{ Calls int }
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || report.Calls != 10 {
		t.Errorf("report %s: %v", &out, err)
	}
	if got := server.Received()[0].Header.Get("X-Test"); got != "a" {
		t.Errorf("header X-Test = %q", got)
	}

	out.Reset()
	if status := run(t.Context(), []string{"-url", listener.URL, "-tool", "bad", "-calls", "3", "-connections", "1"}, &out, &errs); status != 1 {
		t.Errorf("failed calls give status %d", status)
	}
	if !strings.Contains(out.String(), "3 × error") || !strings.Contains(out.String(), "no luck") {
		t.Errorf("report %s", &out)
	}
}

func TestCommandRefusesWrongUse(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-o", "xml"}, {"extra"}, {"-header", "x"}, {"-nonsense"}} {
		var out, errs bytes.Buffer
		if status := run(t.Context(), args, &out, &errs); status != 2 || errs.Len() == 0 {
			t.Errorf("%v: status %d, message %q", args, status, &errs)
		}
	}
}
