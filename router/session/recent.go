package session

import (
	"hash/maphash"
	"sync/atomic"
)

// recentSlots is how many ids are remembered with the session they opened.
const recentSlots = 4096

// recent remembers what ids of late said, so that the seal of an id in use is not
// opened for every message. Each id has one slot, which the next id with the same
// hash takes over. A session found here may have ended since.
type recent struct {
	seed  maphash.Seed
	slots [recentSlots]atomic.Pointer[opening]
}

type opening struct {
	id, endpoint string
	session      *Session
}

func (r *recent) slot(id string) *atomic.Pointer[opening] {
	return &r.slots[maphash.String(r.seed, id)%recentSlots]
}

func (r *recent) find(id, endpoint string) (*Session, bool) {
	if e := r.slot(id).Load(); e != nil && e.id == id && e.endpoint == endpoint {
		return e.session, true
	}
	return nil, false
}

func (r *recent) keep(id string, s *Session) {
	r.slot(id).Store(&opening{id: id, endpoint: s.endpoint, session: s})
}
