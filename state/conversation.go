package state

import (
	"context"
	"errors"
	"time"
)

// ErrNoConversation is in the chain of the error for a conversation that never was, whose time is over, or that was given
// up for others.
var ErrNoConversation = errors.New("state: nothing is remembered of the conversation")

// ConversationTerms say for how long a conversation is remembered.
type ConversationTerms struct {
	Idle time.Duration // since its last use
	Most time.Duration // since it was opened
}

// ConversationBounds limits what is remembered of one conversation. What is too much goes from its beginning.
type ConversationBounds struct {
	Turns int // with all models together
	Bytes int // of all turns and contexts
}

// Tokens is what was used of models, counted in tokens.
type Tokens struct {
	Input, Output, Cached int64
	Estimated             bool // at least one of the numbers is a guess
}

// Plus returns the sum of two numbers of tokens.
func (t Tokens) Plus(u Tokens) Tokens {
	return Tokens{t.Input + u.Input, t.Output + u.Output, t.Cached + u.Cached, t.Estimated || u.Estimated}
}

// Turn is what was said to a model and what it answered.
type Turn struct {
	Data []byte // must not be changed afterwards; nil if nothing is to be remembered but what was used
	Used Tokens
	// Context is what the model's server makes of the conversation so far. It is kept if nothing was said to the model
	// since the turn with the number After.
	Context []byte // must not be changed afterwards
	After   uint64
}

// History is what was said to one model in a conversation.
type History struct {
	Turns   [][]byte // the last ones, oldest first; must not be changed
	Last    uint64   // the number of the last one there was; 0 if there was none
	Context []byte   // that holds all there was up to the last turn; nil if there is none; must not be changed
}

// Conversation is what a conversation comes to.
type Conversation struct {
	Turns   int
	Used    Tokens
	Expires time.Time // if it is not used any more
}

// Conversations remember what clients say to models, by a key that tells nothing about them. A crash may lose the last
// second or so. All methods may be called concurrently. An error wraps [ErrNoConversation] where nothing is remembered.
type Conversations interface {
	// Open begins a conversation, in place of one of the same key.
	Open(ctx context.Context, key string, terms ConversationTerms) error
	// Touch notes that a conversation is used, and says what it comes to.
	Touch(ctx context.Context, key string) (Conversation, error)
	// Recall returns what was said to a model, and notes that the conversation is used.
	Recall(ctx context.Context, key, model string) (History, error)
	// Add notes a turn, which has the next number, and that the conversation is used. Of turns that are added at once
	// none is lost.
	Add(ctx context.Context, key, model string, turn Turn, bounds ConversationBounds) error
}
