package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
)

func TestRespond(t *testing.T) {
	t.Parallel()
	m := rpc.NewResult(rpc.NumberID(1), []byte("{}"))
	r := rpc.Respond(m)
	if got, err := r.Next(); got != m || err != nil {
		t.Errorf("Next = %v, %v", got, err)
	}
	for range 2 {
		if got, err := r.Next(); got != nil || !errors.Is(err, io.EOF) {
			t.Errorf("after the response: %v, %v", got, err)
		}
	}
	if err := r.Answer(m); !errors.Is(err, rpc.ErrNoQuestion) {
		t.Errorf("Answer to nothing: %v", err)
	}
	if _, err := rpc.Respond(nil).Next(); !errors.Is(err, io.EOF) {
		t.Errorf("an empty reply: %v", err)
	}
}

// counter is a source that counts its Close calls.
type counter struct{ closed int }

func (*counter) Next() (*rpc.Message, error) { return nil, io.EOF }
func (*counter) Answer(*rpc.Message) error   { return nil }
func (c *counter) Close() error              { c.closed++; return io.ErrClosedPipe }

func TestCloseReachesTheSourceOnce(t *testing.T) {
	t.Parallel()
	source := &counter{}
	r := rpc.NewReply(source)
	if err := r.Close(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("first Close: %v", err)
	}
	if err := r.Close(); err != nil || source.closed != 1 {
		t.Errorf("second Close: %v, the source was closed %d times", err, source.closed)
	}
}

func TestChain(t *testing.T) {
	t.Parallel()
	var order []string
	layer := func(name string) rpc.Middleware {
		return func(next rpc.Handler) rpc.Handler {
			return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
				order = append(order, name)
				return next.Handle(ctx, c)
			})
		}
	}
	end := rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		order = append(order, "end")
		return rpc.Respond(nil), nil
	})
	if _, err := rpc.Chain(end, layer("outer"), layer("inner")).Handle(t.Context(), &rpc.Call{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(order, " "); got != "outer inner end" {
		t.Errorf("order is %s", got)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("dial: refused")
	shown := rpc.Errorf(rpc.UpstreamDown, "upstream %q: %w", "github", cause)
	hidden := &rpc.Error{Code: rpc.UpstreamDown, Message: `upstream "github" is down`, Cause: cause}
	for e, want := range map[*rpc.Error]string{
		shown:                                    `upstream_down: upstream "github": dial: refused`,
		hidden:                                   `upstream_down: upstream "github" is down: dial: refused`,
		rpc.Errorf(rpc.InvalidParams, "no name"): `invalid_params: no name`,
	} {
		if e.Error() != want {
			t.Errorf("error is %q, want %q", e.Error(), want)
		}
	}
	if !errors.Is(shown, cause) || !errors.Is(hidden, cause) {
		t.Error("the cause cannot be found")
	}
	if got := rpc.AsError(fmt.Errorf("while serving: %w", hidden)); got != hidden {
		t.Errorf("AsError found %v", got)
	}
	if got := rpc.AsError(cause); got.Code != rpc.Internal || strings.Contains(got.Message, "dial") || !errors.Is(got, cause) {
		t.Errorf("AsError of a foreign error is %#v", got)
	}
}

func TestCodesHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for c := rpc.Internal; c <= rpc.UpstreamTimeout; c++ {
		name := c.String()
		if name == "" || seen[name] || strings.ToLower(name) != name || strings.ContainsAny(name, " -") {
			t.Errorf("code %d is called %q", c, name)
		}
		seen[name] = true
	}
	if rpc.Legacy.String() != "legacy" || rpc.Modern.String() != "modern" {
		t.Error("the eras have other names")
	}
}

// passing is a source that passes the messages of another reply on until it has seen one.
type passing struct {
	counter
	out, in *rpc.Reply
	asked   int
}

func (p *passing) Next() (*rpc.Message, error) {
	p.asked++
	m, err := p.in.Next()
	p.out.Follow(p.in)
	return m, err
}

func TestFollow(t *testing.T) {
	t.Parallel()
	first, second := &passing{in: rpc.Respond(rpc.NewNotification("a", nil))}, &passing{}
	first.out = rpc.NewReply(first)
	second.in = first.out
	second.out = rpc.NewReply(second)
	if m, err := second.out.Next(); err != nil || m.Method != "a" {
		t.Errorf("first message: %v, %v", m, err)
	}
	for range 2 {
		if _, err := second.out.Next(); !rpc.IsEnd(err) {
			t.Errorf("after the last message: %v", err)
		}
	}
	if first.asked != 1 || second.asked != 1 {
		t.Errorf("asked %d and %d times", first.asked, second.asked)
	}
	if err := second.out.Close(); !errors.Is(err, io.ErrClosedPipe) || second.closed != 1 || first.closed != 0 {
		t.Errorf("close: %v, %d and %d times", err, second.closed, first.closed)
	}
}
