package conversation

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/state"
)

// Config bounds what is remembered.
type Config struct {
	Idle  time.Duration // a session is forgotten when it was not used for so long, or what its client wants if that is less
	Max   time.Duration // or is so old
	Turns int           // of one session
	Bytes int           // of one session
}

// Keeper remembers what is said in sessions with history. It may be used by many goroutines at once.
type Keeper struct {
	store   state.Conversations // nil where nothing can be remembered
	carries func(*rpc.Call) bool
	end     func(ctx context.Context, session string, cause error)
	log     *slog.Logger
	config  atomic.Pointer[Config]
}

// Deps is what a keeper works with.
type Deps struct {
	Store state.Conversations // nil where nothing can be remembered: then no session can have a history
	// Carries reports whether whoever serves a call goes on with a context that it made before. Others are sent what was said.
	Carries func(*rpc.Call) bool
	// End ends a session whose history was to be remembered and is not any more, and what is in flight in it with the cause.
	End func(ctx context.Context, session string, cause error)
	Log *slog.Logger
}

// New returns a keeper.
func New(deps Deps, cfg Config) *Keeper {
	k := &Keeper{store: deps.Store, carries: deps.Carries, end: deps.End, log: deps.Log}
	k.Configure(cfg)
	return k
}

// Configure changes the bounds, for what is said from now on.
func (k *Keeper) Configure(cfg Config) { k.config.Store(&cfg) }

// Able refuses a wish for history where there can be none.
func (k *Keeper) Able(i infer.Introduction) error {
	if i.History && k.store == nil {
		return rpc.Errorf(rpc.StateUnavailable, "sessions have no history here: the gateway has nowhere to keep it")
	}
	return nil
}

// Open begins to remember what is said in a session, if its client wants that.
func (k *Keeper) Open(ctx context.Context, session string, i infer.Introduction) error {
	if !i.History {
		return nil
	}
	cfg := k.config.Load()
	terms := state.ConversationTerms{Idle: cfg.Idle, Most: cfg.Max}
	if i.TTL > 0 {
		terms.Idle = min(terms.Idle, i.TTL)
	}
	if err := k.store.Open(ctx, session, terms); err != nil {
		return unavailable(err)
	}
	return nil
}

// remembers reports whether what is said in a call is remembered.
func (k *Keeper) remembers(c *rpc.Call) bool {
	return k.store != nil && c.Client.Session != "" && wishOf(&c.Client).history
}

// Guard refuses calls of sessions whose history was to be remembered and is not any more, as it is with sessions that have
// ended, and notes the use of those that are. It belongs behind the guard of sessions.
func (k *Keeper) Guard(next rpc.Handler) rpc.Handler {
	return rpc.HandlerFunc(func(ctx context.Context, c *rpc.Call) (*rpc.Reply, error) {
		if c.Method.Dest == rpc.Holder || !k.remembers(c) {
			return next.Handle(ctx, c)
		}
		_, err := k.store.Touch(ctx, c.Client.Session)
		if errors.Is(err, state.ErrNoConversation) {
			return nil, k.forgotten(ctx, c, err)
		}
		if err != nil {
			k.log.WarnContext(ctx, "the use of a session was not noted", "error", err.Error())
		}
		return next.Handle(ctx, c)
	})
}

// Standing returns what the conversation of a call's session comes to; false where it has none.
func (k *Keeper) Standing(ctx context.Context, c *rpc.Call) (state.Conversation, bool, error) {
	if !k.remembers(c) {
		return state.Conversation{}, false, nil
	}
	out, err := k.store.Touch(ctx, c.Client.Session)
	if errors.Is(err, state.ErrNoConversation) {
		return out, false, k.forgotten(ctx, c, err)
	}
	if err != nil {
		return out, false, unavailable(err)
	}
	return out, true, nil
}

// unknownSession is what clients are told of every session that they cannot use.
const unknownSession = "the session has ended or never was: send initialize again"

// forgotten ends the session of a call, and returns the error that says so. It reads like that for one that never was.
func (k *Keeper) forgotten(ctx context.Context, c *rpc.Call, err error) error {
	out := &rpc.Error{Code: rpc.SessionUnknown, Message: unknownSession, Cause: err}
	k.end(ctx, c.Client.Session, out)
	return out
}

// retryAfter is when an engine that could not be asked may be asked again.
const retryAfter = time.Second

func unavailable(err error) error {
	return &rpc.Error{
		Code: rpc.StateUnavailable, Message: "what was said in the session cannot be looked up now", RetryAfter: retryAfter, Cause: err,
	}
}
