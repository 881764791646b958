package engine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/test/fake/engine"
)

func TestChatIsTheSameUnaryAndStreamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{TokenRate: 10})
		c := client(t, e)
		_, _, body := post(t, c, "/v1/chat/completions", hello+`,"max_tokens":5}`)
		unary := parse(t, body)
		if unary.Choices[0].FinishReason != "length" || unary.Usage.Completion != 5 || unary.Usage.Prompt != 7 {
			t.Errorf("unary answer %s", body)
		}
		got, err := stream(t, c, "/v1/chat/completions", hello+`,"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}}`)
		if err != nil || len(got) != 1+5+1+1 || got[7].text != "[DONE]" {
			t.Fatalf("%d lines, %v: %v", len(got), err, got)
		}
		text := ""
		for i, l := range got[1:6] {
			piece := parse(t, l.text)
			text += piece.Choices[0].Delta.Content
			if want := time.Duration(i) * 100 * time.Millisecond; l.at != want {
				t.Errorf("token %d after %s, want %s", i, l.at, want)
			}
			if piece.Usage != nil {
				t.Errorf("usage in the middle: %s", l.text)
			}
		}
		if text != unary.Choices[0].Message.Content {
			t.Errorf("streamed %q, unary %q", text, unary.Choices[0].Message.Content)
		}
		last := parse(t, got[6].text)
		if len(last.Choices) != 0 || last.Usage == nil || *last.Usage != *unary.Usage {
			t.Errorf("usage %s, want that of %s", got[6].text, body)
		}
	})
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{Token: func(_ *engine.Request, i int) string { return string(rune('a' + i)) }})
		c := client(t, e)
		for _, tt := range []struct{ name, params, text, reason string }{
			{"as long as it likes", `"prompt":"x"`, "abcdefghijklmnop", "stop"},
			{"cut off", `"prompt":"x","max_tokens":3`, "abc", "length"},
			{"a list", `"prompt":["x"],"max_tokens":3`, "abc", "length"},
			{"tokens", `"prompt":[1,2,3],"max_tokens":3`, "abc", "length"},
			{"a stop sequence", `"prompt":"x","stop":["de"]`, "abc", "stop"},
			{"a stop sequence that does not come", `"prompt":"x","stop":"X","max_tokens":3`, "abc", "length"},
			{"to the limit", `"prompt":"x","max_tokens":20,"ignore_eos":true`, "abcdefghijklmnopqrst", "length"},
		} {
			_, _, body := post(t, c, "/v1/completions", `{"model":"sim",`+tt.params+`}`)
			got := parse(t, body)
			if got.Choices[0].Text != tt.text || got.Choices[0].FinishReason != tt.reason {
				t.Errorf("%s: %s", tt.name, body)
			}
			lines, err := stream(t, c, "/v1/completions", `{"model":"sim","stream":true,`+tt.params+`}`)
			text := ""
			for _, l := range lines[:len(lines)-1] {
				text += parse(t, l.text).Choices[0].Text
			}
			if err != nil || text != tt.text {
				t.Errorf("%s: streamed %q, %v", tt.name, text, err)
			}
		}
	})
}

func TestSeveralChoices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{TokenRate: 10})
		got, err := stream(t, client(t, e), "/v1/chat/completions", hello+`,"max_tokens":4,"n":3,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}}`)
		if err != nil || len(got) != 3*5+2 {
			t.Fatalf("%d lines, %v", len(got), err)
		}
		tokens := map[int]int{}
		for i, l := range got[:15] {
			piece := parse(t, l.text)
			if piece.Usage == nil || piece.Usage.Completion > 12 {
				t.Errorf("chunk %d: %s", i, l.text)
			}
			if piece.Choices[0].Delta.Role == "" {
				tokens[piece.Choices[0].Index]++
			}
		}
		if tokens[0] != 4 || tokens[1] != 4 || tokens[2] != 4 || parse(t, got[15].text).Usage.Completion != 12 {
			t.Errorf("tokens %v, at the end %s", tokens, got[15].text)
		}
	})
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{Context: 100})
		c := client(t, e)
		for _, tt := range []struct {
			name, path, body string
			status           int
			message          string
		}{
			{"no JSON", "/v1/chat/completions", `{`, 400, "body"},
			{"no messages", "/v1/chat/completions", `{"model":"sim"}`, 400, "messages"},
			{"no prompt", "/v1/completions", `{"model":"sim"}`, 400, "prompt"},
			{"unknown model", "/v1/chat/completions", strings.Replace(hello, "sim", "other", 1) + `}`, 404, "`other` does not exist"},
			{"too long", "/v1/chat/completions", hello + `,"max_tokens":94}`, 400, "maximum context length is 100 tokens"},
			{"negative", "/v1/chat/completions", hello + `,"max_tokens":-1}`, 400, "max_tokens"},
		} {
			status, _, body := post(t, c, tt.path, tt.body)
			if got := parse(t, body); status != tt.status || got.Error == nil || got.Error.Code != tt.status || !strings.Contains(got.Error.Message, tt.message) {
				t.Errorf("%s: %d %s", tt.name, status, body)
			}
		}
		if got := e.Stats(); got.Sampled != 0 {
			t.Errorf("%d tokens were sampled", got.Sampled)
		}
	})
}

func TestKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{Key: "secret"})
		if status, _, body := post(t, client(t, e), "/v1/chat/completions", hello+`}`); status != 401 {
			t.Errorf("without a key: %d %s", status, body)
		}
	})
}
