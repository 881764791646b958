package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// gate is what the test's gateway was asked last, and what it answers.
type gate struct {
	status int
	kind   string
	body   string
	asked  string
	path   string
	header http.Header
}

func (g *gate) serve(t *testing.T) string {
	t.Helper()
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.asked, g.path, g.header = string(body), r.URL.Path, r.Header
		w.Header().Set("Content-Type", g.kind)
		w.WriteHeader(g.status)
		_, _ = io.WriteString(w, g.body)
	}))
	t.Cleanup(listener.Close)
	return listener.URL
}

func TestInvokePrintsWhatModelsSay(t *testing.T) {
	t.Parallel()
	const whole = `{"model":"m","output":"hello","finish_reason":"stop","usage":{"input_tokens":1,"output_tokens":1}}`
	const parts = `{"id":1,"result":{"chunk":{"text":"hel"}}}` + "\n" + `{"id":1,"result":{"chunk":{"tool_calls":[]}}}` + "\n\n" + `{"id":1,"result":{"chunk":{"text":"lo\n"}}}` + "\n" +
		`{"id":1,"result":{"finish_reason":"stop"}}` + "\n" + `{"id":1,"done":true}` + "\n"
	for name, tt := range map[string]struct {
		gate gate
		args []string
		code int
		out  string
		says string // on standard error
	}{
		"whole":          {gate{200, "application/json", `{"id":1,"result":` + whole + `}`, "", "", nil}, nil, 0, "hello\n", ""},
		"whole, as JSON": {gate{200, "application/json", `{"id":1,"result":` + whole + `}`, "", "", nil}, []string{"-o", "json"}, 0, whole + "\n", ""},
		"in parts":       {gate{200, "application/x-ndjson", parts, "", "", nil}, []string{"--stream"}, 0, "hello\n", ""},
		"in parts, as JSON": {
			gate{200, "application/x-ndjson", parts, "", "", nil},
			[]string{"--stream", "-o", "json"},
			0,
			`{"text":"hel"}` + "\n" + `{"tool_calls":[]}` + "\n" + `{"text":"lo\n"}` + "\n" + `{"finish_reason":"stop"}` + "\n", "",
		},
		"broken off": {
			gate{200, "application/x-ndjson", `{"id":1,"result":{"chunk":{"text":"hel"}}}` + "\n" + `{"id":1,"error":{"code":-32007,"message":"it broke off","data":{"reason":"upstream_error"}}}` + "\n", "", "", nil},
			[]string{"--stream"},
			exitUnreachable, "hel\n", "it broke off",
		},
		"no model":   {gate{400, "application/json", `{"id":1,"error":{"code":-32602,"message":"there is no model \"x\"","data":{"reason":"invalid_params"}}}`, "", "", nil}, nil, exitUnexpected, "", "there is no model"},
		"no key":     {gate{401, "application/json", `{"id":1,"error":{"code":-32000,"message":"who are you"}}`, "", "", nil}, nil, exitAuth, "", "HEADGATE_TOKEN"},
		"forbidden":  {gate{403, "application/json", `{"id":1,"error":{"code":-32001,"message":"no"}}`, "", "", nil}, nil, exitRefused, "", "infer:invoke"},
		"budget":     {gate{429, "application/json", `{"id":1,"error":{"code":-32003,"message":"used up"}}`, "", "", nil}, nil, exitRefused, "", "limits"},
		"elsewhere":  {gate{404, "text/html", "<html>", "", "", nil}, nil, exitUnexpected, "", "http://HOST:PORT/rpc"},
		"not at all": {gate{200, "application/json", "[]", "", "", nil}, nil, exitUnexpected, "", "no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := tt.gate.serve(t)
			got := run(t, append([]string{"invoke", "m", "say \"hello\"", "max_tokens=5", "--url", url + "/mcp"}, tt.args...)...)
			if got.code != tt.code || got.out != tt.out || !strings.Contains(got.errors, tt.says) {
				t.Errorf("exit code %d, %q, want %d, %q\n%s", got.code, got.out, tt.code, tt.out, got.errors)
			}
			stream := "false"
			if len(tt.args) > 0 && tt.args[0] == "--stream" {
				stream = "true"
			}
			want := `{"jsonrpc":"2.0","id":1,"method":"invoke","params":{"model":"m","prompt":"say \"hello\"","stream":` + stream + `,"max_tokens":5}}`
			if tt.gate.asked != want || tt.gate.path != "/rpc" {
				t.Errorf("%s was asked %s, want %s", tt.gate.path, tt.gate.asked, want)
			}
		})
	}
}

func TestInvokeReadsItsArguments(t *testing.T) {
	t.Parallel()
	g := &gate{status: 200, kind: "application/json", body: `{"id":1,"result":{"output":""}}`}
	url := g.serve(t)
	a := &app{in: strings.NewReader("from a file"), environ: []string{"HEADGATE_URL=" + url, "HEADGATE_TOKEN=secret"}}
	if got := runWith(t, a, "invoke", "m", "-"); got.code != 0 || got.out != "" || !strings.Contains(g.asked, `"prompt":"from a file"`) || g.header.Get("Authorization") != "Bearer secret" {
		t.Errorf("%+v, asked %s", got, g.asked)
	}
	for _, args := range [][]string{{"m"}, {"m", "p", "model=x"}, {"m", "p", "stream=true"}, {"m", "p", "max_tokens"}, {"m", "p", "--url", "x"}, {"m", "p", "--url", "ftp://x/rpc"}} {
		if got := run(t, append([]string{"invoke"}, args...)...); got.code != exitUnexpected || got.errors == "" {
			t.Errorf("%v: exit code %d, %s", args, got.code, got.errors)
		}
	}
	if got := run(t, "invoke", "m", "p", "--url", "http://127.0.0.1:1"); got.code != exitUnreachable {
		t.Errorf("nobody there: exit code %d, %s", got.code, got.errors)
	}
}
