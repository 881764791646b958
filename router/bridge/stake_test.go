package bridge

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// stake counts who keeps it. One more does at first: the policy, until the reply is closed.
type stake struct{ keepers, ended atomic.Int64 }

func (s *stake) Retain() { s.keepers.Add(1) }

func (s *stake) Release() {
	if s.keepers.Add(-1) == 0 {
		s.ended.Add(1)
	}
}

func (s *stake) Again() error { return nil }

// first makes a call that holds a stake and is parked with a question, and gives the first
// reply up as the policies do. It returns the server's side and the state.
func (p *parking) first(t *testing.T, s *stake) (*spoken, string) {
	t.Helper()
	s.Retain()
	c := callOf(t, mcp.LatestModern, p.caps, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":1,"b":[2]}}}`)
	c.Principal, c.Record = p.who, &rpc.Record{Stake: s}
	reply, err := p.bridge.Cross(p.server).Handle(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	up := <-p.server.calls
	up.say(t, askName)
	_, response := outcome(t, reply, err)
	s.Release()
	return up, stateOf(t, response)
}

// What a call holds of limits is held while it is parked, and until it ends, however it does.
func TestAParkedCallKeepsWhatItHolds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, p *parking, up *spoken, state string){
		"it is answered": func(t *testing.T, p *parking, up *spoken, state string) {
			reply, err := p.request(t, t.Context(), "2", `,"requestState":`+state+`,"inputResponses":{"q1":{"action":"accept"}}`)
			up.say(t, done)
			outcome(t, reply, err)
			reply, err = p.request(t, t.Context(), "3", `,"requestState":`+state+`,"inputResponses":{"q1":{"action":"accept"}}`)
			outcome(t, reply, err) // who repeats it ends nothing a second time
		},
		"its client does not come back": func(*testing.T, *parking, *spoken, string) { time.Sleep(11 * time.Minute) },
		"its server dies": func(t *testing.T, p *parking, up *spoken, state string) {
			up.says <- nil
			reply, err := p.request(t, t.Context(), "2", `,"requestState":`+state+`,"inputResponses":{"q1":{"action":"accept"}}`)
			if err != nil {
				t.Fatal(err)
			}
			defer reply.Close()
			if _, err := reply.Next(); rpc.AsError(err).Code != rpc.UpstreamDown {
				t.Errorf("after its server died: %v", err)
			}
		},
		"the gateway stops": func(t *testing.T, p *parking, _ *spoken, _ string) {
			if err := p.bridge.Close(t.Context()); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, s := newParking(t, Config{}), &stake{}
				up, state := p.first(t, s)
				synctest.Wait()
				if s.keepers.Load() != 1 || s.ended.Load() != 0 {
					t.Fatalf("while it is parked: %d keep it", s.keepers.Load())
				}
				end(t, p, up, state)
				synctest.Wait()
				if s.keepers.Load() != 0 || s.ended.Load() != 1 {
					t.Errorf("after its end: %d keep it, given up %d times", s.keepers.Load(), s.ended.Load())
				}
			})
		})
	}
}

// Only who has the state of a parked call continues it; everybody else begins a call.
func TestWhatContinuesACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParking(t, Config{})
		p.who = rpc.Principal{Org: "acme", Key: "k1"}
		_, state := p.first(t, &stake{})
		const call = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"t",`
		modern := callOf(t, mcp.LatestModern, p.caps, call+`"arguments":{"a":1,"b":[2]}}}`)
		modern.Principal = p.who
		foreign := string(p.bridge.seal(modern, handle{Kind: serverState, Expires: stateEnd(), State: []byte(`"s"`)}))
		again := string(p.bridge.seal(modern, handle{Kind: callAgain, Expires: stateEnd()}))
		for _, tt := range []struct {
			name, params string
			who          rpc.Principal
			revision     rpc.Revision
			want         bool
		}{
			{"its client", `"arguments":{"a":1,"b":[2]},"requestState":` + state, p.who, mcp.LatestModern, true},
			{"another one", `"arguments":{"a":1,"b":[2]},"requestState":` + state, rpc.Principal{Org: "acme", Key: "k2"}, mcp.LatestModern, false},
			{"with other arguments", `"arguments":{"a":2,"b":[2]},"requestState":` + state, p.who, mcp.LatestModern, false},
			{"without a state", `"arguments":{"a":1,"b":[2]}`, p.who, mcp.LatestModern, false},
			{"with a state of its own making", `"arguments":{"a":1,"b":[2]},"requestState":"gw1.AAAA"`, p.who, mcp.LatestModern, false},
			{"with a state of a modern server", `"arguments":{"a":1,"b":[2]},"requestState":` + foreign, p.who, mcp.LatestModern, false},
			{"with a state of a call that is made again", `"arguments":{"a":1,"b":[2]},"requestState":` + again, p.who, mcp.LatestModern, false},
			{"a legacy client", `"arguments":{"a":1,"b":[2]},"requestState":` + state, p.who, mcp.LatestLegacy, false},
		} {
			c := callOf(t, tt.revision, p.caps, call+tt.params+`}}`)
			c.Principal = tt.who
			if got := p.bridge.Continues(c); got != tt.want {
				t.Errorf("%s continues the call: %v", tt.name, got)
			}
		}
	})
}
