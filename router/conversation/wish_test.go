package conversation

import (
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

func TestWishes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		said infer.Introduction
		want wish
	}{
		"nothing": {},
		"history": {infer.Introduction{History: true}, wish{history: true}},
		"both":    {infer.Introduction{History: true, TTL: 90 * time.Second}, wish{true, 90 * time.Second}},
		"a time":  {infer.Introduction{TTL: time.Millisecond}, wish{false, time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := rpc.Client{Capabilities: []byte(`{"session":{"history":true}}`)} // which a client cannot wish for in this way
			Wish(&c, tt.said)
			if got := wishOf(&c); got != tt.want || Idle(&c) != tt.want.ttl {
				t.Errorf("%s reads as %+v, want %+v", c.Capabilities, got, tt.want)
			}
		})
	}
	for _, text := range []string{``, `{}`, `{"session":`, `{"session":7}`, `{"session":{"history":"yes"}}`, ` {"session":{"history":true}}`} {
		if got := wishOf(&rpc.Client{Capabilities: []byte(text)}); got != (wish{}) {
			t.Errorf("%s reads as %+v", text, got)
		}
	}
}
