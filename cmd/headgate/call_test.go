package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/test/fake"
)

// serve starts a server of one era and returns its address.
func serve(t *testing.T, config fake.Config) string {
	t.Helper()
	server := fake.New(config)
	listener := httptest.NewServer(server)
	t.Cleanup(func() {
		server.Close()
		listener.CloseClientConnections()
		listener.Close()
	})
	return listener.URL + "/mcp"
}

// answer serves one status and body for everything and returns its address.
func answer(t *testing.T, status int, kind, body string) string {
	t.Helper()
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(listener.Close)
	return listener.URL + "/mcp"
}

func says(result string) fake.Behaviour {
	return func(context.Context, *fake.Call) ([]byte, error) { return []byte(result), nil }
}

func TestCallPrintsContent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, result string
		code         int
		want         string
	}{
		{"text", `{"content":[{"type":"text","text":"one"},{"type":"text","text":"two\n"}]}`, 0, "one\ntwo\n"},
		{"other content", `{"content":[{"type":"image","data":"AA==","mimeType":"image/png"}]}`, 0, `{"type":"image","data":"AA==","mimeType":"image/png"}` + "\n"},
		{"structured beside text", `{"content":[{"type":"text","text":"1"}],"structuredContent":{"n":1}}`, 0, "1\n"},
		{"structured alone", `{"content":[],"structuredContent":{"n":1.0,"x":9007199254740993}}`, 0, `{"n":1.0,"x":9007199254740993}` + "\n"},
		{"nothing", `{"content":[]}`, 0, ""},
		{"an error of the tool", `{"content":[{"type":"text","text":"no"}],"isError":true}`, exitTool, "no\n"},
		{"text that is none", `{"content":[{"type":"text","text":1}]}`, 0, `{"type":"text","text":1}` + "\n"},
		{"control characters into a file", `{"content":[{"type":"text","text":"\u001b[2J"}]}`, 0, "\x1b[2J\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, fake.Config{Eras: fake.Legacy, Tools: []fake.Tool{{Name: "t", Behaviour: says(tt.result)}}})
			if got := run(t, "call", "t", "--url", url); got.code != tt.code || got.out != tt.want {
				t.Errorf("exit code %d, standard output %q, want %d, %q\n%s", got.code, got.out, tt.code, tt.want, got.errors)
			}
			if got := run(t, "call", "t", "--url", url, "-o", "json"); got.code != tt.code || got.out != tt.result+"\n" {
				t.Errorf("-o json: exit code %d, standard output %q, want %d, %q", got.code, got.out, tt.code, tt.result)
			}
		})
	}
}

func TestCallPassesArgumentsOnByteForByte(t *testing.T) {
	t.Parallel()
	arguments := make(chan string, 1)
	for _, era := range []fake.Era{fake.Legacy, fake.Modern} {
		url := serve(t, fake.Config{Eras: era, Tools: []fake.Tool{{Name: "t t", Behaviour: func(_ context.Context, c *fake.Call) ([]byte, error) {
			arguments <- string(c.Arguments)
			return []byte(`{"resultType":"complete","content":[]}`), nil
		}}}})
		const text = `{ "z":1.0, "a": 9007199254740993, "é":"\u00e9<" }`
		if got := run(t, "call", "t t", "--json", text, "--url", url); got.code != exitOK {
			t.Fatalf("exit code %d: %s", got.code, got.errors)
		}
		if got := <-arguments; got != text {
			t.Errorf("arguments %s, want %s", got, text)
		}
	}
}

func TestCallPrintsWhatIsHeardMeanwhile(t *testing.T) {
	t.Parallel()
	url := serve(t, fake.Config{Tools: []fake.Tool{{Name: "t", Behaviour: func(_ context.Context, c *fake.Call) ([]byte, error) {
		if err := c.Progress(1, 2); err != nil {
			return nil, err
		}
		if err := c.Notify("notifications/message", []byte(`{"level":"warning","data":{"n":1.0}}`)); err != nil {
			return nil, err
		}
		return []byte(`{"resultType":"complete","content":[{"type":"text","text":"done"}]}`), nil
	}}}})
	got := run(t, "call", "t", "--url", url)
	if want := "[1/2]\nwarning: {\"n\":1.0}\n"; got.code != exitOK || got.out != "done\n" || got.errors != want {
		t.Errorf("exit code %d, standard output %q, standard error %q, want %q", got.code, got.out, got.errors, want)
	}
}

// A tool may want arguments repeated in headers, which its caller learns from its schema only (SEP-2243).
func TestCallMirrorsArgumentsWhenAskedTo(t *testing.T) {
	t.Parallel()
	url := serve(t, fake.Config{Eras: fake.Modern, Tools: []fake.Tool{{
		Name:       "t",
		Definition: json.RawMessage(`{"name":"t","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}`),
		Behaviour: func(_ context.Context, c *fake.Call) ([]byte, error) {
			if got := c.Header.Get("Mcp-Param-Region"); got != "eu" {
				return nil, &fake.Error{Code: -32020, Message: "header Mcp-Param-Region is missing"}
			}
			return []byte(`{"resultType":"complete","content":[{"type":"text","text":"ok"}]}`), nil
		},
	}}})
	if got := run(t, "call", "t", "region=eu", "--url", url); got.code != exitOK || got.out != "ok\n" {
		t.Errorf("exit code %d, standard output %q: %s", got.code, got.out, got.errors)
	}
}

func TestCallGivesUpOnQuestions(t *testing.T) {
	t.Parallel()
	url := serve(t, fake.Config{Eras: fake.Modern, Tools: []fake.Tool{{
		Name: "t", Behaviour: says(`{"resultType":"input_required","requestState":"x"}`),
	}}})
	got := run(t, "call", "t", "--url", url)
	if got.code != exitUnexpected || !strings.Contains(got.errors, "did not finish: its result is of the type input_required") {
		t.Errorf("exit code %d: %s", got.code, got.errors)
	}
}

func TestErrorsOfServersBecomeExitCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		error fake.Error
		code  int
		want  string
	}{
		{"busy", fake.Error{Code: 104, Message: "busy", Data: json.RawMessage(`{"reason":"busy"}`)}, exitRefused, `"code":"busy"`},
		{
			"an upstream that is down",
			fake.Error{Code: 101, Message: `upstream "x" is down`, Data: json.RawMessage(`{"reason":"upstream_down","upstream":"x"}`)},
			exitUnreachable, `"code":"upstream_down","message":"upstream \"x\" is down","hint":"headgate doctor tells how the upstreams are","upstream":"x"`,
		},
		{"a code nobody knows", fake.Error{Code: -5, Message: "no luck"}, exitUnexpected, `"message":"error -5: no luck"`},
		{"wrong parameters of a tool that exists", fake.Error{Code: -32602, Message: "bad"}, exitUnexpected, `{"code":"invalid_params","message":"bad"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, fake.Config{Eras: fake.Legacy, Tools: []fake.Tool{{
				Name: "t", Behaviour: func(context.Context, *fake.Call) ([]byte, error) { return nil, &tt.error },
			}}})
			got := run(t, "call", "t", "--url", url, "-o", "json")
			if got.code != tt.code || !strings.Contains(got.errors, tt.want) || strings.Count(got.errors, "\n") != 1 {
				t.Errorf("exit code %d, standard error %s, want %d, %s", got.code, got.errors, tt.code, tt.want)
			}
		})
	}
}

func TestAnswersThatAreNotMCPBecomeExitCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status     int
		kind, body string
		code       int
		want       string
	}{
		{401, "text/plain", "who are you?", exitAuth, `"code":"auth_required"`},
		{403, "text/plain", "no", exitRefused, `"code":"refused"`},
		{429, "text/plain", "slowly", exitRefused, `"status":429`},
		{404, "text/html", "<html>", exitUnexpected, `"code":"no_mcp_server"`},
		{200, "text/html", "<html>", exitUnexpected, `"code":"no_mcp_server"`},
		{200, "application/json", `{"hello":1}`, exitUnexpected, `"code":"no_mcp_server"`},
		{502, "text/html", "bad gateway", exitUnreachable, `"code":"unreachable"`},
	}
	for _, tt := range tests {
		t.Run(http.StatusText(tt.status)+" "+tt.kind, func(t *testing.T) {
			t.Parallel()
			got := run(t, "tools", "--url", answer(t, tt.status, tt.kind, tt.body), "-o", "json")
			if got.code != tt.code || !strings.Contains(got.errors, tt.want) || got.out != "" {
				t.Errorf("exit code %d, standard error %s, want %d, %s", got.code, got.errors, tt.code, tt.want)
			}
		})
	}
}

func TestCallTimesOut(t *testing.T) {
	t.Parallel()
	url := serve(t, fake.Config{Eras: fake.Modern, Tools: []fake.Tool{{Name: "t", Behaviour: fake.Hang}}})
	got := run(t, "call", "t", "--url", url, "--timeout", (100 * time.Millisecond).String(), "-o", "json")
	if got.code != exitUnreachable || !strings.Contains(got.errors, `"code":"timeout"`) {
		t.Errorf("exit code %d: %s", got.code, got.errors)
	}
}

func TestToolsListsAllPages(t *testing.T) {
	t.Parallel()
	for _, era := range []fake.Era{fake.Legacy, fake.Modern} {
		url := serve(t, fake.Config{Eras: era, PageSize: 1, Tools: []fake.Tool{
			{Name: "a__one", Behaviour: fake.Echo}, {Name: "b__two", Behaviour: fake.Echo}, {Name: "three\x1b[2J", Behaviour: fake.Echo},
		}})
		got := run(t, "tools", "--url", url)
		if got.code != exitOK || strings.Count(got.out, "\n") != 4 || strings.Contains(got.out, "\x1b") {
			t.Errorf("exit code %d, standard output\n%q\n%s", got.code, got.out, got.errors)
		}
		got = run(t, "tools", "--url", url, "--upstream", "b")
		if got.code != exitOK || !strings.Contains(got.out, "b__two") || strings.Contains(got.out, "one") {
			t.Errorf("--upstream: exit code %d, standard output\n%s", got.code, got.out)
		}
		got = run(t, "tools", "--url", url, "--upstream", "c")
		if got.code != exitUnexpected || !strings.Contains(got.errors, "upstreams with tools here: a, b") {
			t.Errorf("--upstream of none: exit code %d: %s", got.code, got.errors)
		}
	}
}
