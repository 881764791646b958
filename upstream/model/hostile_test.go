package model_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// misdeed is an answer that is none, and what the client is told of it.
type misdeed struct {
	script
	code rpc.Code
	says string
}

// anyway are misdeeds whatever is spoken.
var anyway = map[string]misdeed{
	"nothing":           {script{kind: "JSON"}, rpc.UpstreamFailed, "cannot be read"},
	"no JSON":           {script{kind: "JSON", body: "oops"}, rpc.UpstreamFailed, "cannot be read"},
	"a page":            {script{kind: "text/html", body: "<html>"}, rpc.UpstreamFailed, `answered with "text/html" instead of application/json`},
	"a page as JSON":    {script{kind: "JSON", body: "<html>"}, rpc.UpstreamFailed, "cannot be read"},
	"an error page":     {script{status: 502, kind: "text/html", body: "<html>SECRET"}, rpc.UpstreamFailed, "answered with HTTP status 502"},
	"an error in a 200": {script{kind: "JSON", body: `{"error":{"message":"out of SECRET memory"}}`}, rpc.UpstreamFailed, "reported an error"},
	"a text in a 200":   {script{kind: "JSON", body: `{"error":"out of memory"}`}, rpc.UpstreamFailed, "reported an error"},
	"a false error":     {script{kind: "JSON", body: `{"error":{"a":1,"a":2}}`}, rpc.UpstreamFailed, "reported an error"},
	"a list":            {script{kind: "JSON", body: `[]`}, rpc.UpstreamFailed, "cannot be read"},
	"a redirect":        {script{status: 307, header: map[string]string{"Location": "http://SECRET/"}}, rpc.UpstreamFailed, "redirects are not followed"},
	"not found":         {script{status: 404, kind: "JSON", body: `{"error":{"message":"SECRET"}}`}, rpc.UpstreamFailed, "does not have the model"},
	"no entry":          {script{status: 401, kind: "JSON", body: `{"error":{"message":"bad key SECRET"}}`}, rpc.UpstreamFailed, "credentials"},
	"a teapot":          {script{status: 418}, rpc.UpstreamFailed, "418"},
	"two names":         {script{kind: "JSON", body: `{"choices":[],"choices":[],"response":"","response":"","id":1,"id":1}`}, rpc.UpstreamFailed, "cannot be read"},
	"bad text":          {script{kind: "JSON", body: "{\"choices\":[{\"message\":{\"content\":\"\xff\"}}],\"response\":\"\xff\"}"}, rpc.UpstreamFailed, "cannot be read"},
	"too much":          {script{kind: "JSON", body: `{"x":"` + strings.Repeat("x", 1<<17) + `"}`}, rpc.UpstreamFailed, "size limit"},
	"two answers":       {script{kind: "JSON", body: `{"choices":[{"message":{"content":"x"}}],"response":"x","done":true}{}`}, rpc.UpstreamFailed, "cannot be read"},
	"a crowd":           {script{kind: "JSON", body: crowd()}, rpc.UpstreamFailed, "cannot be read"},
}

func crowd() string {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, `,"m%d":1`, i)
	}
	return `{"done":true,"response":"x","choices":[{"message":{"content":"x"}}]` + b.String() + "}"
}

func TestWhatIsNoAnswer(t *testing.T) {
	t.Parallel()
	for kind, media := range map[string]string{"openai": typeEvents, "ollama": typeLines, "rpc": typeLines} {
		for name, tt := range anyway {
			for _, stream := range []string{"false", "true"} {
				t.Run(kind+" "+name+" "+stream, func(t *testing.T) {
					t.Parallel()
					s := tt.script
					s.body = strings.ReplaceAll(s.body, "SECRET", secret)
					says := tt.says
					if s.kind == "JSON" {
						s.kind = "application/json"
						if stream == "true" {
							s.kind = media
						}
						if kind == "openai" && stream == "true" {
							s.body = "data: " + s.body + "\n\n"
						}
						if stream == "true" && (s.body == "data: \n\n" || len(s.body) > 1<<16) || s.body == "" {
							says = "" // it has ended before its end, or holds nothing
						}
					}
					if stream == "true" {
						says = strings.ReplaceAll(says, "application/json", media)
					}
					got := misbehave(t, kind, s, stream)
					if kind == "rpc" && s.status == 0 && strings.Contains(says, "error") {
						says = ""
					}
					check(t, got, tt.code, says)
				})
			}
		}
	}
}

// misbehave makes a call to a server that gives this answer.
func misbehave(t *testing.T, kind string, s script, stream string) answer {
	t.Helper()
	address, _ := serve(t, s)
	b := backendOf(t, config.ModelBackend{Kind: kind, URL: address}, small)
	got := ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"a","stream":`+stream+`}`))
	if got.Err != nil {
		where, _ := url.Parse(address)
		for _, word := range []string{secret, where.Port(), "127.0.0.1"} {
			if strings.Contains(got.Err.Message, word) {
				t.Errorf("the client is told %q", got.Err.Message)
			}
		}
	}
	return got
}

func check(t *testing.T, got answer, code rpc.Code, says string) {
	t.Helper()
	switch {
	case got.Err == nil:
		t.Errorf("it was taken for %s %s", got.Chunks, got.Result)
	case got.Err.Code != code || !strings.Contains(got.Err.Message, says) || got.Err.Upstream != "big" || !strings.Contains(got.Err.Message, `model "big"`):
		t.Errorf("%v of %q, want %v, %q", got.Err, got.Err.Upstream, code, says)
	}
}

func TestStreamsThatAreNone(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5<<20)
	for name, tt := range map[string]struct {
		kind, body, says string
		chunks           int
	}{
		"openai ends early":            {"openai", `data: {"choices":[{"delta":{"content":"A"}}]}` + "\n\n", "in the middle", 1},
		"openai ends in an event":      {"openai", `data: {"choices":[{"delta":{"content":"A"}}]}` + "\n\ndata: {\"cho", "cannot be read", 1},
		"openai says nothing":          {"openai", "", "in the middle", 0},
		"openai is too long":           {"openai", "data: " + long, "size limit", 0},
		"openai is garbage":            {"openai", "data: {\"choices\":[{]}\n\n", "cannot be read", 0},
		"openai has odd choices":       {"openai", "data: {\"choices\":{}}\n\n", "cannot be read", 0},
		"openai has odd choice":        {"openai", "data: {\"choices\":[1]}\n\n", "cannot be read", 0},
		"openai has odd delta":         {"openai", "data: {\"choices\":[{\"delta\":7}]}\n\n", "cannot be read", 0},
		"openai has two deltas":        {"openai", `data: {"choices":[{"delta":{"content":"A","content":"B"}}]}` + "\n\n", "cannot be read", 0},
		"openai fails":                 {"openai", `data: {"choices":[{"delta":{"content":"A"}}]}` + "\n\n" + `data: {"error":{"message":"` + secret + `","code":500}}` + "\n\n", "HTTP status 500", 1},
		"openai fails by event":        {"openai", "event: error\ndata: {\"object\":\"error\",\"message\":\"no\"}\n\n", "reported an error", 0},
		"openai goes on":               {"openai", strings.Repeat(`data: {"choices":[{"delta":{"content":"`+long[:1000]+`"}}]}`+"\n\n", 100), "size limit", 64},
		"openai says nothing for long": {"openai", strings.Repeat(`data: {"choices":[],"x":"`+long[:1000]+`"}`+"\n\n", 2000), "hold nothing", 0},
		"ollama ends early":            {"ollama", `{"response":"A","done":false}` + "\n", "in the middle", 1},
		"ollama ends in a line":        {"ollama", `{"response":"A","done":false}` + "\n" + `{"response":"B","do`, "cannot be read", 1},
		"ollama is too long":           {"ollama", long, "size limit", 0},
		"ollama has an odd text":       {"ollama", `{"response":{"a":1}}` + "\n", "cannot be read", 0},
		"ollama has odd message":       {"ollama", `{"message":[]}` + "\n", "cannot be read", 0},
		"ollama fails":                 {"ollama", `{"response":"A","done":false}` + "\n" + `{"error":"` + secret + `"}` + "\n", "reported an error", 1},
		"ollama says nothing":          {"ollama", strings.Repeat(`{"response":"","x":"`+long[:1000]+`"}`+"\n", 5000), "hold nothing", 0},
		"ollama goes on":               {"ollama", strings.Repeat(`{"response":"`+long[:1000]+`"}`+"\n", 100), "size limit", 64},
		"rpc ends early":               {"rpc", `{"id":1,"result":{"chunk":{"text":"A"}}}` + "\n", "in the middle", 1},
		"rpc does not say done":        {"rpc", `{"id":1,"result":{"usage":{}}}` + "\n", "in the middle", 0},
		"rpc answers another":          {"rpc", `{"id":7,"result":{"chunk":{"text":"A"}}}` + "\n", "something else", 0},
		"rpc answers twice":            {"rpc", `{"id":1,"result":{"usage":{}}}` + "\n" + `{"id":1,"result":{"usage":{}}}` + "\n", "do not belong together", 0},
		"rpc is garbage":               {"rpc", `{"id":1,"result":` + "\n", "cannot be read", 0},
		"rpc is too long":              {"rpc", long, "size limit", 0},
		"rpc sends entries":            {"rpc", `{"id":1,"result":{"entry":{}}}` + "\n", "do not belong together", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			media := typeLines
			if tt.kind == "openai" {
				media = typeEvents
			}
			got := misbehave(t, tt.kind, script{kind: media, body: tt.body}, "true")
			check(t, got, rpc.UpstreamFailed, tt.says)
			if len(got.Chunks) != tt.chunks {
				t.Errorf("%d chunks, want %d", len(got.Chunks), tt.chunks)
			}
		})
	}
}

// Servers that forget to say that they are done have said why they ended.
func TestOpenAIStreamWithoutDone(t *testing.T) {
	t.Parallel()
	got := misbehave(t, "openai", script{kind: typeEvents, body: `data: {"choices":[{"delta":{"content":"A"},"finish_reason":"stop"}]}`}, "true")
	if got.member(t, "finish_reason") != `"stop"` || got.text(t) != "A" {
		t.Errorf("%+v", got)
	}
}

func TestStatusesThatAreErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status      int
		retry, body string
		code        rpc.Code
		says        string
		after       time.Duration
		notRun      bool
	}{
		"too many":       {429, "7", ``, rpc.Overloaded, "no more requests", 7 * time.Second, true},
		"too many, late": {429, time.Now().Add(time.Hour + time.Minute).UTC().Format(http.TimeFormat), ``, rpc.Overloaded, "no more requests", time.Hour, true},
		"too many, odd":  {429, "soon", ``, rpc.Overloaded, "no more requests", 0, true},
		"unavailable":    {503, "999999", ``, rpc.Overloaded, "cannot serve", time.Hour, false},
		"bad request":    {400, "", `{"error":{"message":"max_tokens is too large\u0007"}}`, rpc.InvalidParams, "max_tokens is too large\ufffd", 0, false},
		"detail":         {422, "", `{"detail":[{"loc":["body"]}]}`, rpc.InvalidParams, `[{"loc":["body"]}]`, 0, false},
		"too large":      {413, "", `{"error":"too long"}`, rpc.InvalidParams, "too long", 0, false},
		"indiscreet":     {400, "", `{"error":{"message":"ask http://internal.example/ or ` + secret + `"}}`, rpc.InvalidParams, "does not accept the request", 0, false},
		"of no secret":   {400, "", `{"error":{"message":"no Bearer of a b"}}`, rpc.InvalidParams, "no Bearer of a b", 0, false},
		"told twice":     {400, "", `{"error":{"message":"` + secret + `"}}`, rpc.InvalidParams, "does not accept the request", 0, false},
		"long":           {400, "", `{"error":{"message":"` + strings.Repeat("€", 5000) + `"}}`, rpc.InvalidParams, "€€€", 0, false},
		"failure":        {500, "", `{"error":{"message":"CUDA error at internal.c:7"}}`, rpc.UpstreamFailed, "HTTP status 500", 0, false},
	} {
		for _, kind := range []string{"openai", "ollama"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				got := misbehave(t, kind, script{status: tt.status, kind: "application/json", body: tt.body, header: map[string]string{"Retry-After": tt.retry}}, "false")
				check(t, got, tt.code, tt.says)
				if got.Err.RetryAfter != tt.after || got.Err.NotRun != tt.notRun || len(got.Err.Message) > 600 || strings.Contains(got.Err.Message, "CUDA") {
					t.Errorf("after %v, not run %v: %s", got.Err.RetryAfter, got.Err.NotRun, got.Err.Message)
				}
				if (got.Usage == rpc.Usage{}) != (tt.status != 500) {
					t.Errorf("usage %+v", got.Usage)
				}
			})
		}
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	for kind, address := range map[string]string{"openai": "http://127.0.0.1:1/v1", "ollama": "http://127.0.0.1:1", "rpc": "http://127.0.0.1:1/rpc", "rpc ": "ws://127.0.0.1:1/rpc"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := backend(t, config.ModelBackend{Kind: strings.TrimSpace(kind), URL: address})
			got := ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"a"}`))
			check(t, got, rpc.UpstreamDown, "cannot be reached: connection refused")
			if !got.Err.NotRun || got.Usage != (rpc.Usage{}) || strings.Contains(got.Err.Message, "127") {
				t.Errorf("%+v, usage %+v", got.Err, got.Usage)
			}
			if b.Probe(t.Context()) == nil || b.Warm(t.Context(), "sim") == nil {
				t.Error("it is said to be well")
			}
		})
	}
}

// A parameter that the gateway has to add something to, and cannot read, is not sent in part.
func TestParamsThatCannotBeAddedTo(t *testing.T) {
	t.Parallel()
	for params, kind := range map[string]string{
		`"options":7`: "ollama", `"options":{"a":1,"a":2}`: "ollama", `"stream_options":[],"stream":true`: "openai", `"stream_options":{"a":1,"\u0061":2},"stream":true`: "openai",
	} {
		url, requests := serve(t, script{status: 500})
		b := backend(t, config.ModelBackend{Kind: kind, URL: url, StreamUsage: true})
		got := ask(t.Context(), t, b, invoke(t, `{"model":"default","prompt":"a",`+params+`}`))
		if got.Err == nil || got.Err.Code != rpc.InvalidParams || !strings.Contains(got.Err.Message, "options") || len(requests) != 0 {
			t.Errorf("%s: %v, %d requests", params, got.Err, len(requests))
		}
	}
}
