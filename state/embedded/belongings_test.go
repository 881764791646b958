package embedded

import (
	"fmt"
	"testing"
	"time"

	"github.com/headgate/headgate/state"
)

// What sessions have is bounded together. What was not used for longest goes first, and a
// session that is given up takes what it has with it.
func TestBelongingsAreBounded(t *testing.T) {
	t.Parallel()
	const one = 10_000
	path := inFolder(t)
	e := opened(t, path, Options{SessionBytes: 20 * one})
	now := time.Now().Truncate(time.Millisecond)
	until := now.Add(time.Hour)
	for i := range 200 {
		key := fmt.Sprint(i)
		e.Sessions().Note(key, now.Add(time.Duration(i)*time.Second), until)
		_ = e.Sessions().SetClient(t.Context(), key, make([]byte, one), until) // a shard without another to give up refuses
	}
	if held, n := belonging(e); held > 20*one || n == 0 || held != e.sessions.held.Load() {
		t.Errorf("%d bytes of %d sessions are held, counted as %d", held, n, e.sessions.held.Load())
	}
	closed(t, e)

	e = opened(t, path, Options{SessionBytes: 5 * one})
	if held, n := belonging(e); held > 5*one || n == 0 || held != e.sessions.held.Load() {
		t.Errorf("%d bytes of %d sessions came back, counted as %d", held, n, e.sessions.held.Load())
	}
	e.sessions.forget(until)
	if held, n := belonging(e); held != 0 || n != 0 || e.sessions.held.Load() != 0 {
		t.Errorf("%d bytes of %d sessions are held after their time, counted as %d", held, n, e.sessions.held.Load())
	}
	closed(t, e)
	e = opened(t, path, Options{})
	if _, n := belonging(e); n != 0 {
		t.Errorf("%d sessions came back after their time", n)
	}
	closed(t, e)
}

func TestTheLeastUsedGoesFirst(t *testing.T) {
	t.Parallel()
	e := opened(t, inFolder(t), Options{})
	defer closed(t, e)
	now := time.Now()
	sh := e.sessions.shard("0")
	var same []string
	for i := 0; len(same) < 3; i++ {
		if key := fmt.Sprint(i); e.sessions.shard(key) == sh {
			same = append(same, key)
		}
	}
	for i, used := range []int{2, 1, 3} {
		e.Sessions().Note(same[i], now.Add(time.Duration(used)*time.Second), now.Add(time.Hour))
		if i == 2 {
			e.sessions.room = e.sessions.held.Load() + 50
		}
		if err := e.Sessions().SetClient(t.Context(), same[i], make([]byte, 100), now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int{100, 0, 100} {
		if got, _ := e.Sessions().Recall(same[i]); len(got.Client) != want {
			t.Errorf("session %d has a client of %d bytes, want %d", i, len(got.Client), want)
		}
	}
}

// belonging counts what sessions have.
func belonging(e *Engine) (held int64, sessions int) {
	for i := range e.sessions.shards {
		for _, b := range e.sessions.shards[i].belongings {
			held += int64(b.size)
			sessions++
		}
	}
	return held, sessions
}

// An entry that is not what was written is refused, as a record is.
func FuzzEntry(f *testing.F) {
	sub := state.ResourceSubscription{URI: "x:1", Upstream: "up", Own: "y"}
	at := subscriptionKey("session", sub.URI)
	f.Add(at, encodeEntry(at, encodeSubscription(&sub)))
	f.Add("", []byte{entryForm, 0, 0, 0, 0})
	f.Add("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", []byte{2})
	f.Fuzz(func(t *testing.T, at string, value []byte) {
		key, uri, ok := splitSubscriptionKey(at)
		if ok && len(at) < 100 && subscriptionKey(key, uri) != at && len(at)-len(key)-len(uri) == 1 {
			t.Errorf("%q is another key", at)
		}
		text, err := decodeEntry(at, value)
		if err != nil {
			return
		}
		if again := encodeEntry(at, text); string(again) != string(value) {
			t.Errorf("%q was read of %q", again, value)
		}
		var s state.ResourceSubscription
		if decodeSubscription(text, &s) && s.Size() > len(text) {
			t.Errorf("%+v is longer than %q", s, text)
		}
	})
}
