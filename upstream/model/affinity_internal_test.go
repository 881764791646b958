package model

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// Prompts that begin alike have the beginnings of their chains in common, as far as whole blocks are alike, and nothing with other models.
func TestChainsOfPrompts(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("0123456789abcdef"), 1024)
	for size, want := range map[int]int{minPrefix: 1, minPrefix + prefixBlock - 1: 1, minPrefix + prefixBlock: 2, maxPrefix: 7, len(text): 7} {
		chain := chainOf("a", text[:size])
		if len(chain) != want || !slices.Equal(chain, chainOf("a", text)[:want]) {
			t.Errorf("%d bytes have %d links, want %d of the same chain", size, len(chain), want)
		}
	}
	other := bytes.Clone(text)
	other[minPrefix+prefixBlock] ^= 1
	a, b := chainOf("a", text), chainOf("a", other)
	if !slices.Equal(a[:2], b[:2]) || a[2] == b[2] || a[6] == b[6] {
		t.Error("a change in the fourth block is seen elsewhere than from there on")
	}
	if chainOf("b", text)[0] == a[0] {
		t.Error("two models have the same chain")
	}
}

// Homes are remembered within bounds: what is used stays, what is not is forgotten.
func TestHomesAreBounded(t *testing.T) {
	t.Parallel()
	var h homes
	kept, m := []uint64{1, 2, 3}, &replica{}
	for key := uint64(10); key < 20*homesKept; key += 5 {
		if key%homesKept < 5 {
			h.note(kept, m)
		}
		h.note([]uint64{key, key + 1, key + 2, key + 3, key + 4}, m)
		if n := len(h.now) + len(h.old); n > 2*homesKept {
			t.Fatalf("%d are remembered", n)
		}
	}
	if at, size := h.find(kept, []*replica{{}, m}); at != 1 || size != minPrefix+2*prefixBlock {
		t.Errorf("what was used is at %d, with %d bytes", at, size)
	}
	if at, _ := h.find([]uint64{10}, []*replica{m}); at >= 0 {
		t.Error("the first one is remembered")
	}
	if at, _ := h.find(kept, []*replica{{}}); at >= 0 {
		t.Error("a backend that has gone is a home")
	}
}

// The pace is that of the last calls, and nothing is known any more after a while without any.
func TestPace(t *testing.T) {
	t.Parallel()
	var p pace
	if _, ok := p.known(1); ok {
		t.Error("something is known of a backend that nobody called")
	}
	at := func(now time.Duration) float64 {
		v, ok := p.known(now)
		if !ok {
			return 0
		}
		return v
	}
	p.learn(100, time.Second, time.Second)
	p.learn(0, time.Second, time.Second) // says nothing
	if got := at(2 * time.Second); got != 100 {
		t.Errorf("%v tokens per second, want 100", got)
	}
	for i := range 60 {
		p.learn(100, 10*time.Second, time.Duration(10+10*i)*time.Second)
	}
	if got := at(610 * time.Second); got < 10 || got > 10.5 {
		t.Errorf("%v tokens per second, want 10", got)
	}
	if got := at(600*time.Second + paceLasts + 21*time.Second); got != 0 {
		t.Errorf("%v tokens per second are believed much later", got)
	}
	p.learn(100, time.Second, time.Hour)
	if got := at(time.Hour); got != 100 {
		t.Errorf("%v tokens per second: what was forgotten counts", got)
	}
}
