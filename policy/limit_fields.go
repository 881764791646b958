package policy

import (
	"net/http"
	"strconv"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/state"
)

// Names of the fields that tell clients how limits stand (RateLimit header fields for
// HTTP, draft 11).
const (
	headerLimit  = "RateLimit"
	headerPolicy = "RateLimit-Policy"
)

// limitFields say how the limit stands that is nearest to its end.
type limitFields struct{ policy, standing string }

// fields returns the fields for a bill that was paid.
func (b *bill) fields() limitFields {
	nearest, least := -1, 2.0
	for i, balance := range b.balances {
		if share := float64(balance.Remaining) / float64(max(balance.Limit, 1)); share < least {
			nearest, least = i, share
		}
	}
	if nearest < 0 {
		return limitFields{}
	}
	l := b.limits[nearest]
	return limitFields{l.policy, l.standing(b.balances[nearest])}
}

// standing writes how a limit stands as a member of RateLimit.
func (l *limit) standing(b state.Balance) string {
	var space [128]byte
	out := append(append(append(space[:0], '"'), l.Name...), `";r=`...)
	out = strconv.AppendInt(out, b.Remaining, 10)
	if seconds := (b.Reset + time.Second - 1) / time.Second; seconds > 0 {
		out = strconv.AppendInt(append(out, ";t="...), int64(seconds), 10)
	}
	return string(out)
}

// addTo gives the fields to a reply, beside those that are there.
func (f limitFields) addTo(r *rpc.Reply) {
	if f.policy == "" {
		return
	}
	if r.Header == nil { // there is room for another one
		room := [4]string{0: f.policy, 2: f.standing}
		r.Header = http.Header{headerPolicy: room[0:1:2], headerLimit: room[2:3:4]}
		return
	}
	r.Header[headerPolicy] = append(r.Header[headerPolicy], f.policy)
	r.Header[headerLimit] = append(r.Header[headerLimit], f.standing)
}
