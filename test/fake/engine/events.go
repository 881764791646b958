package engine

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// events writes an answer as server-sent events, as vLLM does: a role first, a chunk for each token, the reason in the last one's, usage in a chunk
// without choices where it was asked for, and [DONE].
type events struct {
	w     http.ResponseWriter
	entry *Entry
	chat  bool
	head  []byte // of every chunk
	buf   []byte
	count int // tokens of all choices
	begun []bool
}

func (d openAI) stream(w http.ResponseWriter, e *Entry) writer {
	object, prefix := "text_completion", "cmpl-"
	if d.chat {
		object, prefix = "chat.completion.chunk", "chatcmpl-"
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	return &events{
		w: w, entry: e, chat: d.chat, begun: make([]bool, len(e.sequences)),
		head: fmt.Appendf(nil, `data: {"id":%q,"object":%q,"created":%d,"model":%s,"choices":[`, newID(prefix), object, time.Now().Unix(), quote(e.Request.Model)),
	}
}

func (s *events) token(choice, i int) {
	s.count++
	if s.chat && !s.begun[choice] {
		s.begun[choice] = true
		s.chunk(choice, `"delta":{"role":"assistant","content":""},"logprobs":null`, "null")
	}
	reason := "null"
	if i == s.entry.want-1 {
		reason = strconv.Quote(s.entry.reason)
	}
	text := string(quote(s.entry.token(i)))
	if s.chat {
		s.chunk(choice, `"delta":{"content":`+text+`},"logprobs":null`, reason)
		return
	}
	s.chunk(choice, `"text":`+text+`,"logprobs":null`, reason)
}

func (s *events) chunk(choice int, members, reason string) {
	s.buf = append(s.buf, s.head...)
	s.buf = fmt.Appendf(s.buf, `{"index":%d,%s,"finish_reason":%s}]`, choice, members, reason)
	if s.entry.Request.Continuous {
		s.buf = append(s.buf, `,"usage":`+s.entry.usage(s.count)...)
	}
	s.buf = append(s.buf, "}\n\n"...)
}

func (s *events) done(int) {} // said with the last token

func (s *events) end(usage bool) {
	if usage && s.entry.Request.IncludeUsage {
		s.buf = append(s.buf, s.head...)
		s.buf = append(s.buf, `],"usage":`+s.entry.usage(s.count)+"}\n\n"...)
	}
	s.buf = append(s.buf, "data: [DONE]\n\n"...)
}

func (s *events) raw(text string) { s.buf = append(s.buf, text...) }

func (s *events) flush() {
	_, _ = s.w.Write(s.buf) // the client left
	s.buf = s.buf[:0]
	_ = http.NewResponseController(s.w).Flush() // likewise
}
