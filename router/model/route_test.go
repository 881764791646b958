package model_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/router/model"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// pools are models that note which of them was asked for what, and fail as they are told to.
type pools struct {
	asked []string
	err   map[string]error // by entry
	late  map[string]error // which Next returns
	spent time.Duration    // how long each takes to fail
	left  []time.Duration
}

func (p *pools) entry(name string, aliases ...string) model.Entry {
	return model.Entry{Name: name, Aliases: aliases, Streams: true, Handler: rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		p.asked = append(p.asked, name+"/"+c.Target.Own+"/"+c.Target.Canonical)
		if c.Route != nil {
			p.left = append(p.left, c.Route.MaxTimeout)
		}
		time.Sleep(p.spent)
		if err := p.err[name]; err != nil {
			return nil, err
		}
		return rpc.NewReply(&onlyChunk{err: p.late[name]}), nil
	})}
}

// onlyChunk is a reply of one chunk and a result, or of an error.
type onlyChunk struct {
	err error
	n   int
}

func (o *onlyChunk) Next() (*rpc.Message, error) {
	o.n++
	switch {
	case o.err != nil:
		return nil, o.err
	case o.n == 1:
		return infer.TextChunk("a"), nil
	case o.n == 2:
		return rpc.NewResult(rpc.NumberID(1), []byte(`{}`)), nil
	}
	return nil, io.EOF
}
func (*onlyChunk) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (*onlyChunk) Close() error              { return nil }

// invoked makes an invoke of a model, and returns what came and the error.
func invoked(t *testing.T, r *model.Router, name string) (messages int, err error) {
	t.Helper()
	row, _ := infer.Lookup(infer.Invoke)
	c := &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(1), infer.Invoke, append(rpc.AppendString([]byte(`{"prompt":"x","model":`), name), '}')).Clone(),
		Method:  row, Dialect: rpc.Infer, Record: &rpc.Record{},
	}
	reply, err := r.Resolve(r).Handle(t.Context(), c)
	if err != nil {
		return 0, err
	}
	defer reply.Close() //nolint:errcheck // nothing could fail
	for {
		if _, err := reply.Next(); err != nil {
			if rpc.IsEnd(err) {
				err = nil
			}
			return messages, err
		}
		messages++
	}
}

func down(text string) error { return &rpc.Error{Code: rpc.UpstreamDown, Message: text} }

// broke is a stake that pays for nothing more.
type broke struct{}

func (broke) Retain()      {}
func (broke) Release()     {}
func (broke) Again() error { return &rpc.Error{Code: rpc.QuotaExhausted, Message: "used up"} }

// Who stands in for a model that may have done some of its work has to be paid for.
func TestWhoStandsInIsPaidFor(t *testing.T) {
	t.Parallel()
	for err, want := range map[*rpc.Error]int{
		{Code: rpc.UpstreamDown, Message: "it broke off"}:                  1,
		{Code: rpc.UpstreamDown, Message: "it is not there", NotRun: true}: 2,
	} {
		p := &pools{err: map[string]error{"big": err}}
		r := model.New(model.Deps{
			Models: []model.Entry{p.entry("big"), p.entry("next")},
			Route:  func(*rpc.Call) (*rpc.Route, string) { return &rpc.Route{Fallback: []string{"next"}}, "" },
		})
		_, failed := ask(t, r, infer.Invoke, `{"model":"big","prompt":"?"}`, func(c *rpc.Call) { c.Record = &rpc.Record{Stake: broke{}} })
		if len(p.asked) != want || (failed == nil) != (want == 2) {
			t.Errorf("%v: %q were asked, then %v", err, p.asked, failed)
		}
	}
}

func TestRulesChooseTheModel(t *testing.T) {
	t.Parallel()
	refused := &rpc.Error{Code: rpc.InvalidParams, Message: "refused"}
	tests := map[string]struct {
		rule  *rpc.Route
		to    string
		err   map[string]error
		late  map[string]error
		asked []string
		fails string
	}{
		"no rule":                        {asked: []string{"big/big/big"}},
		"a rule that leaves it":          {rule: &rpc.Route{}, asked: []string{"big/big/big"}},
		"to a name that fits a glob":     {rule: &rpc.Route{}, to: "small-1b", asked: []string{"small-*/small-1b/big"}},
		"to an alias":                    {rule: &rpc.Route{}, to: "cheap", asked: []string{"next/next/big"}},
		"to one that is off":             {rule: &rpc.Route{}, to: "off", fails: "upstream_down"},
		"to one that is off, a stand-in": {rule: &rpc.Route{Fallback: []string{"off", "next"}}, to: "off", asked: []string{"next/next/big"}},
		"a stand-in": {
			rule: &rpc.Route{Fallback: []string{"off", "default", "next"}}, err: map[string]error{"big": down("gone")}, asked: []string{"big/big/big", "next/next/big"},
		},
		"a stand-in after the reply was there": {
			rule: &rpc.Route{Fallback: []string{"next"}}, late: map[string]error{"big": down("broke off")}, asked: []string{"big/big/big", "next/next/big"},
		},
		"stand-ins that fail too": {
			rule: &rpc.Route{Fallback: []string{"next", "small-1b"}}, err: map[string]error{"big": down("a"), "next": down("b"), "small-*": down("c")},
			asked: []string{"big/big/big", "next/next/big", "small-*/small-1b/big"}, fails: "upstream_down",
		},
		"what the client did wrong is wrong everywhere": {
			rule: &rpc.Route{Fallback: []string{"next"}}, err: map[string]error{"big": refused}, asked: []string{"big/big/big"}, fails: "invalid_params",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &pools{err: tt.err, late: tt.late}
			r := model.New(model.Deps{
				Models: []model.Entry{p.entry("big", "default"), p.entry("next", "cheap"), p.entry("small-*")},
				Route:  func(*rpc.Call) (*rpc.Route, string) { return tt.rule, tt.to },
			})
			messages, err := invoked(t, r, "default")
			code := ""
			if e, ok := errors.AsType[*rpc.Error](err); ok {
				code = e.Code.String()
			}
			if code != tt.fails || err == nil && messages != 2 {
				t.Errorf("%d messages, then %v", messages, err)
			}
			if diff := cmp.Diff(tt.asked, p.asked); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Who stands in has what is left of the time that the rule gives the call.
func TestStandInsHaveWhatIsLeftOfTheTime(t *testing.T) {
	t.Parallel()
	p := &pools{err: map[string]error{"a": down(""), "b": down(""), "c": down("")}, spent: 20 * time.Millisecond}
	rule := &rpc.Route{Fallback: []string{"b", "c"}, MaxTimeout: 30 * time.Millisecond}
	r := model.New(model.Deps{
		Models: []model.Entry{p.entry("a"), p.entry("b"), p.entry("c")}, Route: func(*rpc.Call) (*rpc.Route, string) { return rule, "" },
	})
	if _, err := invoked(t, r, "a"); rpc.CodeOf(err) != rpc.UpstreamDown {
		t.Fatal(err)
	}
	if len(p.left) == 0 || p.left[0] != 30*time.Millisecond || len(p.left) > 2 || len(p.left) == 2 && p.left[1] > 10*time.Millisecond {
		t.Errorf("left were %v", p.left)
	}
}
