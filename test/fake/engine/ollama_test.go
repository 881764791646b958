package engine_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/test/fake/engine"
)

// object is what tests look at in an answer of Ollama's API.
type object struct {
	Response   string
	Message    struct{ Content string }
	Done       bool
	DoneReason string `json:"done_reason"`
	Context    []uint32
	Load       time.Duration `json:"load_duration"`
	Total      time.Duration `json:"total_duration"`
	Prompt     int           `json:"prompt_eval_count"`
	Output     int           `json:"eval_count"`
	Error      string
}

func read(t *testing.T, text string) object {
	t.Helper()
	var o object
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return o
}

func TestOllama(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{
		"/api/generate": `{"model":"sim:latest","prompt":"hello you","options":{"num_predict":4}%s}`,
		"/api/chat":     `{"model":"sim","messages":[{"role":"user","content":"hello you"}],"options":{"num_predict":4}%s}`,
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := client(t, engine.New(engine.Config{TokenRate: 10, Load: time.Second}))
				lines, err := stream(t, c, path, fmt.Sprintf(body, ""))
				if err != nil || len(lines) != 5 {
					t.Fatalf("%v %v", err, lines)
				}
				text := ""
				for _, l := range lines[:4] {
					o := read(t, l.text)
					text += o.Response + o.Message.Content
				}
				last := read(t, lines[4].text)
				if !last.Done || last.DoneReason != "length" || last.Output != 4 || last.Load != time.Second || last.Total != 1300*time.Millisecond {
					t.Errorf("last line %s", lines[4].text)
				}
				_, _, whole := post(t, c, path, fmt.Sprintf(body, `,"stream":false`))
				unary := read(t, whole)
				if unary.Response+unary.Message.Content != text || unary.Load != 0 || unary.Prompt != last.Prompt {
					t.Errorf("unary %s, streamed %q", whole, text)
				}
				if path == "/api/generate" && len(last.Context) != last.Prompt+4 {
					t.Errorf("context of %d", len(last.Context))
				}
			})
		})
	}
}

func TestContextIsPartOfThePrompt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := client(t, engine.New(engine.Config{}))
		_, _, body := post(t, c, "/api/generate", `{"model":"sim","prompt":"hello you","stream":false}`)
		first := read(t, body)
		context, err := json.Marshal(first.Context)
		if err != nil {
			t.Fatal(err)
		}
		_, _, body = post(t, c, "/api/generate", `{"model":"sim","prompt":"go on","stream":false,"context":`+string(context)+`}`)
		if got := read(t, body); got.Prompt != len(first.Context)+2 {
			t.Errorf("prompt of %d tokens after a context of %d", got.Prompt, len(first.Context))
		}
	})
}

func TestLoading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{Load: time.Second})
		c := client(t, e)
		load := func(keep string) time.Duration {
			began := time.Now()
			status, _, body := post(t, c, "/api/generate", `{"model":"sim"`+keep+`}`)
			if got := read(t, body); status != 200 || !got.Done || got.Response != "" {
				t.Errorf("%d %s", status, body)
			}
			return time.Since(began)
		}
		for _, tt := range []struct {
			name, keep string
			want       time.Duration
		}{
			{"cold", "", time.Second},
			{"warm", "", 0},
			{"unload", `,"keep_alive":0`, 0},
			{"cold again", `,"keep_alive":"1m"`, time.Second},
		} {
			if got := load(tt.keep); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := load(`,"keep_alive":-1`); got != time.Second {
			t.Errorf("after its minute: %s", got)
		}
		time.Sleep(time.Hour)
		if got := load(""); got != 0 {
			t.Errorf("kept for ever: %s", got)
		}
	})
}

func TestOllamaErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := engine.New(engine.Config{})
		c := client(t, e)
		if status, _, body := post(t, c, "/api/generate", `{"model":"other","prompt":"x"}`); status != 404 || !strings.Contains(read(t, body).Error, "other") {
			t.Errorf("%d %s", status, body)
		}
		e.Fail(engine.Fault{Kind: engine.StreamError, After: 2})
		lines, err := stream(t, c, "/api/generate", `{"model":"sim","prompt":"x"}`)
		if err != nil || len(lines) != 3 || read(t, lines[2].text).Error != "the engine failed" {
			t.Errorf("%v %v", err, lines)
		}
	})
}
