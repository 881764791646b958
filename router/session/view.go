package session

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
)

// View is what operators are shown of a live session.
type View struct {
	Key       string // means nothing outside the gateway
	Endpoint  string
	Revision  rpc.Revision
	Info      json.RawMessage // what the client calls itself; nil if it did not say
	Principal rpc.Principal   // who opened it, as far as this process has seen
	Created   time.Time
	Used      time.Time // last
	Level     string    // of log messages; empty if the client set none
	InFlight  int       // calls
	Questions int       // that the client has not answered
	Streams   int       // open GET streams
}

// Views returns the live sessions, those that were used last first.
func (r *Registry) Views() []View {
	var out []View
	for i := range r.shards {
		for _, s := range r.shards[i].sessions() {
			out = append(out, s.view())
		}
	}
	slices.SortFunc(out, func(a, b View) int { return b.Used.Compare(a.Used) })
	return out
}

func (s *Session) view() View {
	c := s.Client()
	v := View{
		Key: c.Session, Endpoint: s.endpoint, Revision: c.Revision, Info: bytes.Clone(c.Info), Created: s.created,
		Used: time.Unix(0, s.used.Load()), Level: c.LogLevel,
	}
	if p := s.opener.Load(); p != nil {
		v.Principal = *p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.InFlight, v.Questions, v.Streams = len(s.flights), len(s.questions), len(s.streams)
	return v
}

// meet notes who the owner of a session is, of whom it knows a digest only.
func (s *Session) meet(p *rpc.Principal) {
	if s.opener.Load() == nil {
		s.opener.CompareAndSwap(nil, &rpc.Principal{Org: p.Org, Team: p.Team, Key: p.Key, User: p.User})
	}
}

// Evict ends a live session for good, as its client could: what is in flight in it gets the
// cause. It returns false if there is none with this key.
func (r *Registry) Evict(ctx context.Context, key string, cause error) (bool, error) {
	s, ok := r.shard(key).find(key)
	if !ok {
		return false, nil
	}
	return true, r.expel(ctx, s, cause)
}
