package model

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// takes reads events, each as if it were the first if afresh is set, and returns the chunks, what was counted and what was kept.
func takes(t *testing.T, events []string, afresh bool) (all []string, skipped int) {
	t.Helper()
	p := &peer{cfg: config.ModelBackend{}, fault: fault{model: "m"}}
	s := &openAIStream{p: p}
	var n tally
	n.begin((&rpc.Record{}).Try(rpc.Hop{}), 4, 0, 1)
	for _, event := range events {
		if afresh {
			s.last.forget()
		}
		text := []byte(event)
		var err error
		if chunk, ok := s.like(text, &n); ok {
			skipped++
			s.ready = [][]byte{chunk}
		} else {
			s.ready = nil
			err = s.take(text, &n)
		}
		all = append(all, fmt.Sprintf("%q %v %+v %q %v", s.ready, err, n.usage(), s.ended, s.kept))
		clear(text) // it is read into again
	}
	return all, skipped
}

// TestLikeEventsAreReadAlike compares what becomes of events with what becomes of them when each is read whole.
func TestLikeEventsAreReadAlike(t *testing.T) {
	t.Parallel()
	event := func(content string) string {
		return `{"id":"x","system_fingerprint":"f","choices":[{"index":0,"delta":{"content":` + content + `},"finish_reason":null}],"usage":null}`
	}
	like := func(contents ...string) (all []string) {
		for _, c := range contents {
			all = append(all, event(c))
		}
		return all
	}
	for name, tt := range map[string]struct {
		events  []string
		skipped int
	}{
		"words":                    {like(`"one"`, `" two"`, `" three"`, `"日本語"`, `"a\nb"`), 4},
		"escapes":                  {like(`"one"`, `"\""`, `"two"`, `"three"`, `"\\"`, `"\u0041"`), 1},
		"empty":                    {like(`"one"`, `""`, `"two"`, `"three"`), 1},
		"no string":                {like(`"one"`, `null`, `[]`, `1`, `"two"`, `"three"`), 1},
		"two strings":              {like(`"one"`, `"one","tool_calls":"a"`, `"two"`), 0},
		"quotes that are no ends":  {like(`"one"`, `"a\"`, `"a\n"`, `"\n`), 0},
		"invalid":                  {like(`"one"`, "\"\xff\"", "\"\x01\"", `"two"`), 0},
		"a text that occurs twice": {[]string{strings.Replace(event(`"f"`), `"x"`, `"f"`, 1), event(`"g"`)}, 0},
		"further members":          {append(like(`"one"`), strings.Replace(event(`"two"`), `"f"`, `"g"`, 1), event(`"three"`), event(`"four"`)), 1},
		"thoughts":                 {like(`"one","reasoning":"hm"`, `"two","reasoning":"hm"`, `"three","reasoning":"so"`), 1},
		"much beside the text": {append(like(`"one","reasoning":"a thought that is rather long"`, `"two","reasoning":"a thought that is rather long"`),
			like(`"three"`, `"four"`, `"five","reasoning":"another thought that is as long"`, `"six","reasoning":"another thought that is as long"`)...), 3},
		"usage": {[]string{
			event(`"one"`), strings.Replace(event(`"two"`), `"usage":null`, `"usage":{"prompt_tokens":3,"completion_tokens":9}`, 1),
			strings.Replace(event(`"three"`), `"usage":null`, `"usage":{"prompt_tokens":3,"completion_tokens":9}`, 1), event(`"four"`), event(`"five"`),
		}, 1},
		"the end":     {append(like(`"one"`, `"two"`), strings.Replace(event(`"three"`), `"finish_reason":null`, `"finish_reason":"stop"`, 1), event(`"four"`)), 1},
		"two choices": {append(like(`"one"`, `"two"`), strings.Replace(event(`"x"`), `"index":0`, `"index":1`, 1), event(`"three"`), event(`"four"`)), 2},
		"an error":    {append(like(`"one"`, `"two"`), `{"error":{"message":"no"}}`, event(`"three"`)), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, _ := takes(t, tt.events, true)
			got, skipped := takes(t, tt.events, false)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if skipped != tt.skipped {
				t.Errorf("%d events were not read, want %d", skipped, tt.skipped)
			}
		})
	}
}

func FuzzLikeEvents(f *testing.F) {
	f.Add(`"a"`, `"b"`, `"c\n"`, "f")
	f.Add(`"a"`, `"b","x":"a"`, `""`, `"a"`)
	f.Fuzz(func(t *testing.T, a, b, c, more string) {
		var events []string
		for _, content := range []string{a, b, c, a, b} {
			events = append(events, `{"m":`+more+`,"choices":[{"delta":{"content":`+content+`}}]}`)
		}
		want, _ := takes(t, events, true)
		if got, _ := takes(t, events, false); cmp.Diff(want, got) != "" {
			t.Error(cmp.Diff(want, got))
		}
	})
}
