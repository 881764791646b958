package engine

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"strings"
	"time"
)

// Request is a request as the engine understands it.
type Request struct {
	ID        string // X-Request-Id of the client, or ""
	Path      string
	Model     string
	Text      string // the whole prompt, all roles
	Messages  int    // of a chat
	Context   []uint32
	Stream    bool
	MaxTokens int // 0: not said
	Choices   int
	Stop      []string
	IgnoreEOS bool // go on until MaxTokens
	Seed      int64

	IncludeUsage bool // at the end of a stream
	Continuous   bool // usage in each chunk
	KeepAlive    *time.Duration

	Header http.Header
	Body   []byte

	prompt []uint32
	served string // the model, as the engine calls it
}

// tokens is the prompt in tokens: what was before, the text, and what a chat template adds.
func (r *Request) tokens(bytesPerToken int) []uint32 {
	tokens := make([]uint32, 0, len(r.Context)+len(r.Text)/bytesPerToken+1+4*r.Messages)
	tokens = append(tokens, r.Context...)
	for text := r.Text; text != ""; {
		n := min(bytesPerToken, len(text))
		tokens = append(tokens, hash(text[:n]))
		text = text[n:]
	}
	for range 4 * r.Messages {
		tokens = append(tokens, 0)
	}
	if len(tokens) == 0 {
		tokens = append(tokens, 1) // the beginning of a sequence
	}
	return tokens
}

var words = strings.Fields(`the gate stands open and a river of small words runs through it to the sea where every boat has its turn
	nobody waits for long who came in time with light in hand over stone under cloud past the old mill by night`)

// word is the token at i of the answer: the same for the same prompt and seed.
func (r *Request) word(i int) string {
	h := uint32(2166136261) ^ uint32(r.Seed)
	for _, token := range r.prompt[max(0, len(r.prompt)-64):] {
		h = (h ^ token) * 16777619
	}
	h = (h ^ uint32(i)*2654435761) * 16777619
	word := words[(h>>7)%uint32(len(words))]
	if i == 0 {
		return word
	}
	return " " + word
}

func hash(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // never fails
	return h.Sum32()
}

// stopped returns the tokens of an answer that a stop sequence ends, without what belongs to the sequence, or nil.
func (r *Request) stopped(token func(*Request, int) string, want int) []string {
	if len(r.Stop) == 0 {
		return nil
	}
	text, ends := "", []int{}
	for i := range want {
		text += token(r, i)
		ends = append(ends, len(text))
		for _, stop := range r.Stop {
			if at := strings.Index(text, stop); stop != "" && at >= 0 {
				return split(text[:at], ends)
			}
		}
	}
	return nil
}

// split cuts a text where its tokens end; some may be behind its end.
func split(text string, ends []int) []string {
	pieces, begin := make([]string, len(ends)), 0
	for i, end := range ends {
		end = min(end, len(text))
		pieces[i] = text[begin:end]
		begin = end
	}
	return pieces
}

// stringOrList reads a member that is one string or several.
func stringOrList(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		return []string{one}
	}
	var several []string
	_ = json.Unmarshal(raw, &several) // anything else is no stop sequence
	return several
}
