package edge_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// pushing is a model's answer that can be pushed.
type pushing struct {
	chunks int // that it consists of
	filler string
	given  int // of them
	pushed int // of those that were given
	halts  int // times that no more was wanted of what is pushed
	ended  bool
	halted chan struct{} // closed at the first of them
	closed chan struct{}
}

var _ rpc.Pusher = (*pushing)(nil)

func (s *pushing) chunk() *rpc.Message {
	s.given++
	return infer.NewChunk(fmt.Appendf(nil, `{"text":"%d %s"}`, s.given, s.filler))
}

func (s *pushing) Next() (*rpc.Message, error) {
	switch {
	case s.given < s.chunks:
		return s.chunk(), nil
	case s.ended:
		return nil, io.EOF
	}
	s.ended = true
	return rpc.NewResult(rpc.NumberID(1), []byte(`{}`)), nil
}

func (s *pushing) Push(to rpc.Taker) (again bool) {
	for s.given < s.chunks {
		s.pushed++
		if !to.Take(s.chunk()) {
			if s.halts++; s.halts == 1 {
				close(s.halted)
			}
			break
		}
	}
	return true
}

func (*pushing) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (s *pushing) Close() error            { close(s.closed); return nil }

// An answer that can be pushed is, but for its first chunk. A client that takes it slowly gets all of it too, in its order.
func TestInferPushes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		accept string
		source pushing
		slow   bool
	}{
		"lines":              {accept: "*/*", source: pushing{chunks: 100}},
		"events":             {accept: "text/event-stream", source: pushing{chunks: 100}},
		"long lines":         {accept: "*/*", source: pushing{chunks: 100, filler: strings.Repeat("x", 5000)}},
		"long events":        {accept: "text/event-stream", source: pushing{chunks: 100, filler: strings.Repeat("x", 5000)}},
		"a slow client":      {accept: "*/*", source: pushing{chunks: 40_000, filler: strings.Repeat("x", 500)}, slow: true},
		"a slow one, events": {accept: "text/event-stream", source: pushing{chunks: 40_000, filler: strings.Repeat("x", 500)}, slow: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &tt.source
			s.halted, s.closed = make(chan struct{}), make(chan struct{})
			g := open(t, setup{handle: func(context.Context, *rpc.Call) (*rpc.Reply, error) { return rpc.NewReply(s), nil }})
			resp := g.send(t.Context(), "POST", invoke("1", "x", true), at("Accept", tt.accept)...)
			defer resp.Body.Close()
			if tt.slow {
				select {
				case <-s.halted:
				case <-time.After(10 * time.Second): // as when nothing is pushed
				}
			}
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatal(resp.StatusCode, err)
			}
			<-s.closed
			rest := string(text)
			for i := range s.chunks {
				var found bool
				if _, rest, found = strings.Cut(rest, `{"text":"`+strconv.Itoa(i+1)+` `+s.filler+`"}`); !found {
					t.Fatalf("chunk %d is missing or out of order", i+1)
				}
			}
			if !strings.Contains(rest, `"done":true`) {
				t.Errorf("the end is %q", rest)
			}
			if s.pushed < s.chunks/2 || !tt.slow && s.pushed != s.chunks-1 || tt.slow && s.halts == 0 {
				t.Errorf("%d of %d chunks were pushed, with %d halts", s.pushed, s.chunks, s.halts)
			}
		})
	}
}
