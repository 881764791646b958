package state

import (
	"context"
	"time"
)

// Clock tells the engine's time, by which everything in it begins and ends.
type Clock interface {
	// Now returns the time. It never goes back.
	Now(ctx context.Context) (time.Time, error)
}
