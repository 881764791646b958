package statetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/headgate/headgate/state"
)

// Logs tests that an engine keeps what was sent, within bounds, and says where
// something is missing.
func Logs(t *testing.T, open Open) {
	t.Helper()
	rapid.Check(t, func(r *rapid.T) {
		script := rapid.SliceOfN(rapid.Custom(drawLogOp), 1, 40).Draw(r, "script")
		var err error
		open(t, func(t *testing.T, s *Subject) {
			t.Helper()
			err = playLogs(t, s, script)
		})
		if err != nil {
			r.Fatal(err)
		}
	})
}

type logOp struct {
	Do     string
	Log    string
	Size   int
	After  uint64
	Limit  int
	Pass   time.Duration
	Bounds state.LogBounds
}

func drawLogOp(r *rapid.T) logOp {
	return logOp{
		Do:    rapid.SampledFrom([]string{"append", "append", "append", "range", "range", "drop", "advance"}).Draw(r, "do"),
		Log:   rapid.SampledFrom([]string{"a", "b"}).Draw(r, "log"),
		Size:  rapid.IntRange(0, 12).Draw(r, "size"),
		After: rapid.Uint64Range(0, 9).Draw(r, "after"),
		Limit: rapid.IntRange(1, 4).Draw(r, "limit"),
		Pass:  time.Duration(rapid.IntRange(1, 40).Draw(r, "pass")) * time.Second,
		Bounds: state.LogBounds{
			Entries: rapid.IntRange(1, 5).Draw(r, "entries"),
			Bytes:   rapid.IntRange(1, 30).Draw(r, "bytes"),
			Keep:    time.Minute,
		},
	}
}

// modelLog is everything that was appended, and from where on it is kept.
type modelLog struct {
	all   []string
	first int
	until time.Duration
}

func playLogs(t *testing.T, s *Subject, script []logOp) error {
	t.Helper()
	logs := map[string]*modelLog{}
	var now time.Duration
	for i, op := range script {
		g := logs[op.Log]
		if g == nil || now >= g.until {
			g = &modelLog{}
		}
		switch op.Do {
		case "advance":
			s.Advance(op.Pass)
			now += op.Pass
		case "drop":
			delete(logs, op.Log)
			if err := s.Logs.Drop(t.Context(), op.Log); err != nil {
				return err
			}
		case "append":
			logs[op.Log] = g
			g.append(strings.Repeat(fmt.Sprint(i%10), op.Size), op.Bounds)
			g.until = now + op.Bounds.Keep
			n, err := s.Logs.Append(t.Context(), op.Log, []byte(g.all[len(g.all)-1]), op.Bounds)
			if err != nil || n != uint64(len(g.all)) {
				return fmt.Errorf("operation %d: number %d, %w, want %d", i, n, err, len(g.all))
			}
		default:
			got, err := s.Logs.Range(t.Context(), op.Log, op.After, op.Limit)
			if err := g.compare(op, got, err); err != nil {
				return fmt.Errorf("operation %d: after %d: %w", i, op.After, err)
			}
		}
	}
	return nil
}

func (g *modelLog) append(data string, bounds state.LogBounds) {
	g.all = append(g.all, data)
	for g.first < len(g.all) && (len(g.all)-g.first > bounds.Entries || len(strings.Join(g.all[g.first:], "")) > bounds.Bytes) {
		g.first++
	}
}

func (g *modelLog) compare(op logOp, got []state.LogEntry, err error) error {
	if int(op.After) < g.first || int(op.After) > len(g.all) {
		if !errors.Is(err, state.ErrGap) {
			return fmt.Errorf("%d entries, %w, want a gap", len(got), err)
		}
		return nil
	}
	var want []state.LogEntry
	for n := int(op.After); n < len(g.all) && len(want) < op.Limit; n++ {
		want = append(want, state.LogEntry{Seq: uint64(n) + 1, Data: []byte(g.all[n])})
	}
	if err != nil {
		return err
	}
	return differ("entries", want, got)
}
