package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/upstream"
)

// reading is what came of an answer in parts.
type reading struct {
	chunks []string
	result string
	err    string
	usage  rpc.Usage
}

// readParts reads an answer to its end, and checks what holds for every one.
func readParts(t *testing.T, p parts) reading {
	t.Helper()
	var out reading
	var tally tally
	tally.begin(nil, 8, 0, 1)
	for {
		chunk, err := p.next(&tally)
		if err != nil {
			out.usage = tally.usage()
			if !rpc.IsEnd(err) {
				out.err = blamed(t, err)
				return out
			}
			break
		}
		o, err := rpc.ParseObject(chunk)
		if err != nil {
			t.Fatalf("chunk %q: %v", chunk, err)
		}
		out.chunks = append(out.chunks, string(chunk))
		if len(out.chunks) > 1<<16 {
			t.Fatal("there is no end to it")
		}
		if text, ok := o.Get("text"); ok && text[0] != '"' {
			t.Fatalf("a text that is none: %s", chunk)
		}
	}
	w := writer{text: []byte{'{'}}
	w.add("usage", tally.text())
	p.finish(&w)
	out.result = sound(t, append(w.text, '}'))
	return out
}

// sound checks that a text is a result.
func sound(t *testing.T, text []byte) string {
	t.Helper()
	if _, err := rpc.ParseObject(text); err != nil {
		t.Fatalf("result %q: %v", text, err)
	}
	if m := rpc.NewResult(rpc.NumberID(1), text); m.Err != nil {
		t.Fatalf("result %q: %v", text, m.Err)
	}
	return string(text)
}

// blamed checks that an error is one that clients may see.
func blamed(t *testing.T, err error) string {
	t.Helper()
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return "of the connection"
	}
	switch e.Code {
	case rpc.UpstreamFailed, rpc.UpstreamDown, rpc.UpstreamTimeout, rpc.Overloaded, rpc.InvalidParams:
	default:
		t.Fatalf("code %v", e.Code)
	}
	if strings.Contains(e.Message, "hidden") || strings.ContainsFunc(e.Message, func(r rune) bool { return r < ' ' }) || len(e.Message) > 1024 {
		t.Fatalf("clients are told %q", e.Message)
	}
	return e.Message
}

// bodies are two ways in which the same bytes can come.
func bodies(text []byte) [2]io.Reader {
	return [2]io.Reader{bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text))}
}

func answerOf(kind string, body io.Reader) *upstream.Response {
	return upstream.NewResponse(200, http.Header{"Content-Type": {kind}}, -1, io.NopCloser(body))
}

// alike checks that it makes no difference how the bytes came, and that nothing is counted too low.
func alike(t *testing.T, got [2]reading) {
	t.Helper()
	if a, b := fmt.Sprint(got[0]), fmt.Sprint(got[1]); a != b {
		t.Fatalf("at once %s\nby bytes %s", a, b)
	}
	if got[0].usage.Input < 0 || got[0].usage.Output < 0 || got[0].usage.Cached < 0 {
		t.Fatalf("usage %+v", got[0].usage)
	}
}

func fuzzPeer() *peer {
	return &peer{fault: fault{model: "m", secrets: []string{"hidden"}}, deps: BackendDeps{MaxResult: 1 << 20}, cfg: config.ModelBackend{}}
}

func FuzzOpenAIStream(f *testing.F) {
	for _, seed := range []string{
		"data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"A\"},\"finish_reason\":null}]}\n\n" +
			"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"prompt_tokens_details\":{\"cached_tokens\":1,\"x\":0}}}\n\ndata: [DONE]\n\n",
		"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":-1,\"completion_tokens\":1e9,\"prompt_tokens_details\":[]}}\r\rdata:[DONE]",
		"data: {\"choices\":[{\"index\":1,\"text\":\"A\",\"logprobs\":{}},{\"delta\":{\"content\":[{\"type\":\"text\"}],\"tool_calls\":[]}}]}\n\n",
		"event: error\ndata: {\"error\":{\"message\":\"hidden\\u0000\",\"code\":429}}\n\n", "data: {\"object\":\"error\",\"message\":\"x\",\"code\":400}\n\n",
		"data: {\"error\":\"hidden\"}\n\n", "data: {\"error\":{\"a\":1,\"a\":2}}\n\n", ": ping\n\n", "data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n", "\ufeffdata: 1\n\n", "data: {\"a\":1,\"\\u0061\":2}\n\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got [2]reading
		for i, body := range bodies(text) {
			resp := answerOf(typeEvents, body)
			got[i] = readParts(t, &openAIStream{p: fuzzPeer(), resp: resp, events: frame.NewSSEReader(resp, 1<<12)})
		}
		alike(t, got)
	})
}

func FuzzOllamaStream(f *testing.F) {
	for _, seed := range []string{
		"{\"model\":\"m\",\"created_at\":\"\",\"response\":\"A\",\"done\":false}\n{\"response\":\"\",\"done\":true,\"done_reason\":\"stop\",\"context\":[1,2],\"eval_count\":0,\"prompt_eval_count\":7}\n",
		"{\"message\":{\"role\":\"assistant\",\"content\":\"A\",\"thinking\":\"x\"}}\r\n\n{\"message\":{\"role\":\"tool\",\"content\":null},\"done\":true}",
		"{\"error\":\"hidden\"}\n", "{\"response\":7}\n", "{\"done\":true,\"thinking\":{}}\n", "{\"response\":\"\xff\"}\n", "{}{}\n", "[]\n", "{\"done\":true,\"usage\":1,\"finish_reason\":2}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got [2]reading
		for i, body := range bodies(text) {
			resp := answerOf(typeLines, body)
			got[i] = readParts(t, &ollamaStream{p: fuzzPeer(), resp: resp, lines: frame.NewLineReader(resp, 1<<12)})
		}
		alike(t, got)
	})
}

func FuzzRelayStream(f *testing.F) {
	for _, seed := range []string{
		"{\"id\":1,\"result\":{\"chunk\":{\"text\":\"A\"}}}\n{\"id\":1,\"result\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"estimated\":true,\"x\":1},\"finish_reason\":\"stop\"}}\n{\"id\":1,\"done\":true}\n",
		"{\"id\":\"1\",\"done\":true}\n", "{\"id\":2,\"done\":true}\n", "{\"id\":1,\"error\":{\"code\":-32602,\"message\":\"hidden\"}}\n", "{\"id\":1,\"result\":{\"entry\":{}}}\n",
		"{\"id\":1,\"error\":{\"code\":-32002,\"message\":\"x\",\"data\":{\"retry_after_ms\":1}}}\n", "{\"id\":1,\"result\":{\"chunk\":{\"text\":1,\"text\":2}}}\n", "{\"id\":1,\"result\":[]}\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got [2]reading
		for i, body := range bodies(text) {
			resp := answerOf(typeLines, body)
			p := fuzzPeer()
			got[i] = readParts(t, &relayStream{p: p, id: rpc.NumberID(1), frames: &httpFrames{resp: resp, lines: frame.NewLineReader(resp, 1<<12), fault: &p.fault}})
		}
		alike(t, got)
	})
}

// FuzzAnswer reads answers that come as a whole, with the usage in them.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"choices":[{"index":0,"message":{"content":"A"},"finish_reason":"stop"},{"index":1,"text":"B"}],"usage":{"prompt_tokens":1,"completion_tokens":0}}`,
		`{"response":"A","done":true,"eval_count":3,"prompt_eval_count":-1}`, `{"message":{"content":"A","usage":1},"done":true,"usage":{}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"output":"A","usage":{"input_tokens":1,"output_tokens":99999999999999999999}}}`, `{"error":{"code":503,"message":"hidden"}}`, `{"detail":"x"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		w := &web{peer: *fuzzPeer()}
		v := &invocation{shown: "m"}
		answer, err := w.whole(answerOf(typeJSON, bytes.NewReader(text)))
		if err != nil {
			blamed(t, err)
		} else {
			for _, result := range []func(rpc.Object, *invocation, *tally) ([]byte, error){(&openAI{web: w}).result, (&ollama{web: w}).result} {
				var tally tally
				tally.begin(nil, 8, 0, 1)
				if out, err := result(answer, v, &tally); err != nil {
					blamed(t, err)
				} else {
					sound(t, out)
				}
			}
		}
		p, err := (&relay{web: w}).answer(answerOf(typeJSON, bytes.NewReader(text)), rpc.NumberID(1))
		var tally tally
		tally.begin(nil, 8, 0, 1)
		var out []byte
		if err == nil {
			out, err = w.result(p, v, &tally)
		}
		if err != nil {
			blamed(t, err)
			return
		}
		sound(t, out)
	})
}
