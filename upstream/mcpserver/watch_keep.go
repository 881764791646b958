package mcpserver

import (
	"context"
	"errors"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// watchTimeout bounds one attempt to make an upstream agree with what is wanted.
const watchTimeout = 10 * time.Second

// keeper makes an upstream agree with what is wanted of it, and does so again when
// the stream, the session or the process ends that it was agreed on. It is one
// goroutine; its fields are its own.
type keeper struct {
	s     *Server
	w     *watch
	pause time.Duration // before the next attempt after a failure

	stream *listening        // of a modern server
	link   link              // of a legacy server
	held   map[interest]bool // what is subscribed to on that link
	missed bool              // something may have changed that nobody told of
	// unserved is what is wanted and was refused. When the upstream agrees after all, it
	// may have changed meanwhile.
	unserved map[interest]bool
}

func newKeeper(w *watch) *keeper {
	return &keeper{s: w.s, w: w, pause: streamFirst, unserved: map[interest]bool{}}
}

func (k *keeper) run() {
	defer k.hangUp()
	for {
		k.missed = k.w.takeGap() || k.missed
		wants, version := k.w.all()
		refused, err := k.apply(wants)
		k.w.settle(outcome{version, refused, err})
		if err != nil && k.s.life.Err() == nil {
			k.s.blame(err)
			k.s.log.DebugContext(k.s.life, "upstream does not tell of changes", "error", err.Error())
		}
		if !k.rest(err != nil || len(refused) > 0) {
			return
		}
	}
}

// rest waits until there is something to do; false if there never will be.
func (k *keeper) rest(failed bool) bool {
	var due <-chan time.Time
	if failed {
		due = k.pace()
	}
	for {
		select {
		case <-k.w.wake:
			return true
		case <-due:
			return true
		case <-k.stream.over():
			if time.Since(k.stream.since) > streamLong {
				k.pause = streamFirst
			}
			k.hangUp()
			k.missed = true
			due = k.pace()
		case <-k.s.life.Done():
			return false
		}
	}
}

// pace says when to try again, ever more rarely.
func (k *keeper) pace() <-chan time.Time {
	due := time.After(k.pause)
	k.pause = min(2*k.pause, streamLast)
	return due
}

// hangUp gives up the stream.
func (k *keeper) hangUp() {
	k.stream.close()
	k.stream = nil
}

// errRelinked says that the link was replaced while it was used.
var errRelinked = errors.New("the connection was opened again")

// apply makes the upstream agree with what is wanted, as far as it does.
func (k *keeper) apply(wants []interest) (refused map[interest]error, err error) {
	ctx, cancel := context.WithTimeoutCause(k.s.life, watchTimeout, k.s.fault.timedOut(nil, "did not agree to a subscription in time"))
	defer cancel()
	for range 3 {
		key, l, err := k.find(ctx, len(wants) > 0)
		switch {
		case err != nil:
			return nil, err
		case l == nil:
			k.hangUp()
			return nil, nil
		case key.era == rpc.Modern:
			refused, err = k.listen(ctx, l, wants)
		default:
			refused, err = k.subscribe(ctx, key, l, wants)
		}
		old, ended := errors.AsType[*stale](err)
		if ended {
			k.s.discard(key, l, old)
		}
		if !ended && !errors.Is(err, errRelinked) {
			return refused, err
		}
	}
	return nil, k.s.fault.down(errRelinked, "keeps closing its connection")
}

// find returns the link that all share. It is opened only if it is needed: for lists alone no
// server is started that nobody calls.
func (k *keeper) find(ctx context.Context, needed bool) (linkKey, link, error) {
	if needed {
		return k.s.linkFor(ctx, ownCall(mcp.Ping, nil))
	}
	known := k.s.eras.Load()
	if known == nil {
		return linkKey{}, nil, nil
	}
	key := linkKey{era: known.pick(rpc.Modern)}
	return key, k.s.links.find(key), nil
}

// ownCall is a call that the gateway makes for itself.
func ownCall(method string, params []byte) *rpc.Call {
	return &rpc.Call{
		Message: rpc.NewRequest(rpc.NumberID(0), method, params), Method: mcp.Foreign(method), Dialect: rpc.MCP,
		Received: time.Now(), Client: rpc.Client{Era: rpc.Modern, Revision: mcp.LatestModern},
	}
}

// agreed ends an attempt that the upstream has answered. It tells what may have changed
// while nobody told of it: all that is watched after a gap, and else what the upstream did not
// agree to before.
func (k *keeper) agreed(ctx context.Context, l link, wants []interest, refused map[interest]error) {
	if len(refused) == 0 {
		k.pause = streamFirst
	}
	missed, unserved := k.missed, k.unserved
	k.missed, k.unserved = false, make(map[interest]bool, len(refused))
	if d := l.description(); missed && d.Era == rpc.Modern {
		k.s.announceChange(d)
	}
	for _, want := range wants {
		switch {
		case refused[want] != nil:
			k.unserved[want] = true
		case !missed && !unserved[want]:
		case want.task:
			k.report(ctx, l, want.id)
		default:
			k.s.announce(rpc.NewNotification(mcp.ResourceUpdated, uriParams(want.id)))
		}
	}
}

func uriParams(uri string) []byte { return append(rpc.AppendString([]byte(`{"uri":`), uri), '}') }

// refuseAll is the outcome where nothing is watched.
func refuseAll(wants []interest, why error) map[interest]error {
	out := make(map[interest]error, len(wants))
	for _, want := range wants {
		out[want] = why
	}
	return out
}

// unsupported is why a server without the capability is not asked.
func (k *keeper) unsupported() error {
	e := k.s.fault.failed(nil, "does not tell of changes of this resource")
	e.Code = rpc.InvalidParams
	return e
}
