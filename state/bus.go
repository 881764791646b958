package state

import "context"

// Event is a message of a topic.
type Event struct {
	Topic string // empty for a gap
	Data  []byte // must not be changed
	// Gap says that messages before this event may be missing, of any of the topics:
	// whoever reads must find out how things stand by other means.
	Gap bool
}

// Bus carries messages to whoever listens at that moment, in every process that
// shares the engine. All methods may be called concurrently.
type Bus interface {
	// Publish sends a message, which is kept for nobody. It does not wait for readers.
	Publish(ctx context.Context, topic string, data []byte) error
	// Subscribe listens to topics, from when it returns until Close.
	Subscribe(ctx context.Context, topics ...string) (Listener, error)
}

// Listener is one who listens. Its methods may be called concurrently.
type Listener interface {
	// Next returns the next event, in the order of each topic. Its error is that of ctx,
	// or [ErrClosed]. A reader that falls behind by more than the engine keeps loses
	// the oldest messages and reads a gap instead.
	Next(ctx context.Context) (Event, error)
	// Close ends it. It may be called more than once.
	Close()
}
