package model

import (
	"strconv"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// A backend goes on after its connection was closed until it notices: for so long, and at the pace of a fast one where nobody knows
// its own.
const (
	afterwards = 100 * time.Millisecond
	leastAfter = 16 // tokens
	// fastest is how many tokens of one answer no backend makes more of in that time.
	fastest = 200
)

// tally counts the tokens of one attempt and notes them before anybody gets what they are in. As long as the backend
// has not said how many there were they are estimated, and never to be fewer than the pieces that they came in.
type tally struct {
	pieces int64     // that came since the backend has last said the output
	bytes  int       // in them
	before int64     // the output until then
	used   rpc.Usage // so far; whether it is an estimate is in what follows
	input  bool      // the backend has said the input
	output bool      // the backend has said the output, up to now
	meter  rpc.Meter

	began   time.Time
	limit   int64    // of the answer, as the client set it; 0 for none
	answers int64    // that the client wants
	extra   []member // of the backend's usage, that are no part of ours
}

// begin begins to count for an attempt. The prompt is taken to have so many tokens.
func (t *tally) begin(try *rpc.Try, prompt, limit, answers int64) {
	t.began, t.limit, t.answers = time.Now(), limit, answers
	t.used.Input = prompt
	try.Metered(&t.meter)
}

// usage is what was used by now.
func (t *tally) usage() rpc.Usage {
	u := t.used
	u.Estimated = !t.input || !t.output
	return u
}

// note tells how many tokens were used by now.
func (t *tally) note() { t.meter.Uses(t.usage()) }

// part tells that a part of the answer has come, and how many tokens were used by now.
func (t *tally) part() { t.meter.Part(t.usage()) }

// piece counts a part of the answer with so many bytes in it.
func (t *tally) piece(bytes int) {
	t.pieces++
	t.bytes += bytes
	t.used.Output = t.before + max(t.pieces, infer.EstimateTokens(t.bytes))
	t.output = false
}

// restart forgets what was counted of the answer: it is another one.
func (t *tally) restart() { t.pieces, t.bytes, t.before, t.used.Output = 0, 0, 0, 0 }

// say takes a number of the backend's own, if it is one. The last one counts, and zero is a number.
func (t *tally) say(o rpc.Object, input, output string) {
	if n, ok := count(o, input); ok {
		t.used.Input, t.input = n, true
	}
	if n, ok := count(o, output); ok {
		t.restart()
		t.used.Output, t.before, t.output = n, n, true
	}
}

// cached takes the number of tokens of the prompt that the backend had worked on before.
func (t *tally) cached(n int64) { t.used.Cached = n }

// abandon counts what a backend may have made that nobody will see, until it notices.
func (t *tally) abandon() {
	if t.limit > 0 && t.used.Output >= t.limit {
		t.note()
		return
	}
	ran := max(time.Since(t.began), afterwards)
	more := max(leastAfter, int64(float64(t.used.Output)*float64(afterwards)/float64(ran)))
	if t.limit > 0 {
		more = min(more, t.limit-t.used.Output)
	}
	t.used.Output += more
	t.output = false
	t.note()
}

// lose counts an answer of which nothing came: as much as the client has allowed for, if there was time for that. Clients may allow for
// more than anybody could pay.
func (t *tally) lose() {
	made := fastest * t.answers * int64(1+time.Since(t.began)/afterwards)
	t.used.Output, t.output = max(t.used.Output, min(t.limit, made)), false
	t.note()
}

// nothing takes back what was noted of a call that the backend has refused.
func (t *tally) nothing() {
	t.meter.Uses(rpc.Usage{})
}

// text is the usage as the dialect writes it.
func (t *tally) text() []byte {
	u := t.usage()
	w := writer{text: []byte{'{'}}
	w.number("input_tokens", u.Input)
	w.number("output_tokens", u.Output)
	if u.Cached > 0 {
		w.number("cached_tokens", u.Cached)
	}
	if u.Estimated {
		w.add("estimated", []byte("true"))
	}
	w.members(t.extra)
	return append(w.text, '}')
}

// count reads a member that counts something. What no count can be was not said.
func count(o rpc.Object, name string) (int64, bool) {
	v, ok := o.Get(name)
	if !ok {
		return 0, false
	}
	const most = 1 << 40 // far above any context, far below overflow of sums and prices
	n, err := strconv.ParseInt(string(v), 10, 64)
	return n, err == nil && n >= 0 && n <= most
}
