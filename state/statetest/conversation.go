package statetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headgate/headgate/state"
)

// Conversations tests that an engine remembers what was said to models, within bounds and for its time, also when it was
// opened again meanwhile.
func Conversations(t *testing.T, open Open) {
	t.Helper()
	rapid.Check(t, func(r *rapid.T) {
		script := []talkOp{{Do: "open", Key: "a"}, {Do: "open", Key: "b"}}
		script = append(script, rapid.SliceOfN(rapid.Custom(drawTalkOp), 10, 40).Draw(r, "script")...)
		var err error
		open(t, func(t *testing.T, s *Subject) {
			t.Helper()
			err = playTalk(t, s, script)
		})
		if err != nil {
			r.Fatal(err)
		}
	})
	runAll(t, open, map[string]func(t *testing.T, s *Subject){
		"turns that are added at once are all there": talkAtOnce,
		"models and keys are not mixed up":           talkNotMixedUp,
	})
}

type talkOp struct {
	Do         string
	Key, Model string
	Size       int    // of a turn
	Context    int    // its size; 0 for none
	After      uint64 // so many turns before the last
	Pass       time.Duration
	Bounds     state.ConversationBounds
}

var talkTerms = state.ConversationTerms{Idle: time.Minute, Most: 4 * time.Minute}

func drawTalkOp(r *rapid.T) talkOp {
	return talkOp{
		Do:      rapid.SampledFrom([]string{"open", "add", "add", "add", "add", "recall", "recall", "recall", "touch", "advance", "restart"}).Draw(r, "do"),
		Key:     rapid.SampledFrom([]string{"a", "b"}).Draw(r, "key"),
		Model:   rapid.SampledFrom([]string{"m", "n"}).Draw(r, "model"),
		Size:    rapid.IntRange(0, 9).Draw(r, "size"),
		Context: rapid.SampledFrom([]int{0, 0, 3, 7}).Draw(r, "context"),
		After:   rapid.SampledFrom([]uint64{0, 0, 0, 1}).Draw(r, "after"),
		Pass:    time.Duration(rapid.IntRange(1, 40).Draw(r, "pass")) * time.Second,
		Bounds:  state.ConversationBounds{Turns: rapid.IntRange(1, 6).Draw(r, "turns"), Bytes: rapid.IntRange(5, 40).Draw(r, "bytes")},
	}
}

// talk is all that is known of a conversation.
type talk struct {
	opened, used time.Duration
	last         uint64
	turns        []talkTurn
	context      map[string]talkTurn
	lasts        map[string]uint64
	spent        state.Tokens
}

type talkTurn struct {
	model  string
	data   string
	number uint64
}

func (k *talk) over(now time.Duration) bool {
	return now >= k.used+talkTerms.Idle || now >= k.opened+talkTerms.Most
}

func playTalk(t *testing.T, s *Subject, script []talkOp) error {
	t.Helper()
	var now time.Duration
	known := map[string]*talk{}
	for i, op := range script {
		k := known[op.Key]
		if k != nil && k.over(now) {
			delete(known, op.Key)
			k = nil
		}
		var err error
		switch op.Do {
		case "advance":
			s.Advance(op.Pass)
			now += op.Pass
		case "restart":
			s.Restart()
		case "open":
			known[op.Key] = &talk{opened: now, used: now, context: map[string]talkTurn{}, lasts: map[string]uint64{}}
			err = s.Said.Open(t.Context(), op.Key, talkTerms)
		default:
			if k != nil {
				k.used = now
			}
			err = op.play(t, s, k, i)
			if k == nil && errors.Is(err, state.ErrNoConversation) {
				err = nil
			} else if k == nil {
				err = fmt.Errorf("what nobody knows gives %w", err)
			}
		}
		if err != nil {
			return fmt.Errorf("operation %d, %+v: %w", i, op, err)
		}
	}
	return nil
}

// play does what needs a conversation, and compares what comes of it with what k says, unless that is nil.
func (op *talkOp) play(t *testing.T, s *Subject, k *talk, i int) error {
	t.Helper()
	switch op.Do {
	case "touch":
		got, err := s.Said.Touch(t.Context(), op.Key)
		if err != nil || k == nil {
			return err
		}
		now, err := s.Clock.Now(t.Context())
		left := min(talkTerms.Idle, k.opened+talkTerms.Most-k.used)
		if off := got.Expires.Sub(now.Add(left)); err != nil || off.Abs() > time.Millisecond {
			return fmt.Errorf("it expires at %v, %v off: %w", got.Expires, off, err)
		}
		return errors.Join(differ("turns", len(k.turns), got.Turns), differ("spent", k.spent, got.Used))
	case "recall":
		got, err := s.Said.Recall(t.Context(), op.Key, op.Model)
		if err != nil || k == nil {
			return err
		}
		return differ("history", k.history(op.Model), got)
	}
	turn := state.Turn{Used: state.Tokens{Input: 1, Output: int64(op.Size), Estimated: op.Size == 3}}
	if op.Size > 0 {
		turn.Data = []byte(strings.Repeat(fmt.Sprint(i%10), op.Size))
	}
	if op.Context > 0 {
		turn.Context = []byte(strings.Repeat("c", op.Context))
	}
	if k != nil {
		turn.After = k.lasts[op.Model] - min(op.After, k.lasts[op.Model])
		k.add(op.Model, turn, op.Bounds)
	}
	return s.Said.Add(t.Context(), op.Key, op.Model, turn, op.Bounds)
}

func (k *talk) history(model string) (out state.History) {
	out.Last = k.lasts[model]
	if c, ok := k.context[model]; ok {
		out.Context = []byte(c.data)
	}
	for _, turn := range k.turns {
		if turn.model == model {
			out.Turns = append(out.Turns, []byte(turn.data))
		}
	}
	return out
}

func (k *talk) add(model string, turn state.Turn, bounds state.ConversationBounds) {
	k.spent = k.spent.Plus(turn.Used)
	if turn.Data == nil {
		return
	}
	k.last++
	before := k.lasts[model]
	k.lasts[model] = k.last
	delete(k.context, model)
	k.turns = append(k.turns, talkTurn{model, string(turn.Data), k.last})
	if turn.Context != nil && turn.After == before {
		k.context[model] = talkTurn{model, string(turn.Context), k.last}
	}
	for len(k.turns) > 0 && (len(k.turns) > bounds.Turns || k.bytes() > bounds.Bytes) {
		k.turns = k.turns[1:]
	}
	for k.bytes() > bounds.Bytes {
		oldest := talkTurn{number: k.last + 1}
		for _, c := range k.context {
			if c.number < oldest.number {
				oldest = c
			}
		}
		delete(k.context, oldest.model)
	}
	for model := range k.lasts {
		if h := k.history(model); h.Turns == nil && h.Context == nil {
			delete(k.lasts, model)
		}
	}
}

func (k *talk) bytes() (n int) {
	for _, turn := range k.turns {
		n += len(turn.data)
	}
	for _, c := range k.context {
		n += len(c.data)
	}
	return n
}

func talkAtOnce(t *testing.T, s *Subject) {
	t.Helper()
	const crowd, each = 8, 10
	bounds := state.ConversationBounds{Turns: crowd * each, Bytes: 1 << 20}
	if err := s.Said.Open(t.Context(), "a", talkTerms); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() {
			for j := range each {
				h, err := s.Said.Recall(t.Context(), "a", "m")
				turn := state.Turn{Data: fmt.Appendf(nil, "%d %d", i, j), Context: []byte("c"), After: h.Last, Used: state.Tokens{Output: 1}}
				if err = errors.Join(err, s.Said.Add(t.Context(), "a", "m", turn, bounds)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	s.Restart()
	h, err := s.Said.Recall(t.Context(), "a", "m")
	if err != nil || h.Last != crowd*each {
		t.Fatalf("the last turn is %d, %v", h.Last, err)
	}
	next := make([]int, crowd)
	for _, data := range h.Turns {
		var i, j int
		if _, err := fmt.Sscanf(string(data), "%d %d", &i, &j); err != nil || next[i] != j {
			t.Fatalf("turn %q, want %d of %d: %v", data, next[i], i, err)
		}
		next[i]++
	}
	if len(h.Turns) != crowd*each {
		t.Errorf("%d turns of %d are there", len(h.Turns), crowd*each)
	}
	if got, err := s.Said.Touch(t.Context(), "a"); err != nil || got.Used.Output != crowd*each {
		t.Errorf("%+v, %v", got, err)
	}
}

func talkNotMixedUp(t *testing.T, s *Subject) {
	t.Helper()
	bounds := state.ConversationBounds{Turns: 10, Bytes: 100}
	parts := [][2]string{{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {"a", "b"}}
	for _, p := range parts {
		if err := s.Said.Open(t.Context(), p[0], talkTerms); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range parts {
		turn := state.Turn{Data: []byte(p[0] + "|" + p[1]), Context: []byte(p[1] + "|" + p[0])}
		if err := s.Said.Add(t.Context(), p[0], p[1], turn, bounds); err != nil {
			t.Fatal(err)
		}
	}
	s.Restart()
	for _, p := range parts {
		h, err := s.Said.Recall(t.Context(), p[0], p[1])
		if err != nil || len(h.Turns) != 1 || string(h.Turns[0]) != p[0]+"|"+p[1] || string(h.Context) != p[1]+"|"+p[0] {
			t.Errorf("%q is %q, %q, %v", p, h.Turns, h.Context, err)
		}
	}
}
