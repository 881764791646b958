package fake

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// Echo answers with one text block for each argument that is a string, in the order and with the bytes they came in.
func Echo(_ context.Context, c *Call) ([]byte, error) {
	result := append(c.Scratch, openResult(c.Era)...)
	result = append(result, `"content":[`...)
	first := true
	err := rawjson.Object(c.Arguments, func(_, value []byte) bool {
		if value[0] != '"' {
			return true
		}
		if !first {
			result = append(result, ',')
		}
		first = false
		result = append(result, `{"type":"text","text":`...)
		result = append(append(result, value...), '}')
		return true
	})
	if err != nil && c.Arguments != nil {
		return nil, &Error{Code: codeInvalidParams, Message: "arguments must be an object"}
	}
	return append(result, `]}`...), nil
}

// Result answers every call with these exact bytes as its result, whatever the era.
func Result(result []byte) Behaviour {
	return func(context.Context, *Call) ([]byte, error) { return result, nil }
}

// Fail answers every call with this error.
func Fail(failure Error) Behaviour {
	return func(context.Context, *Call) ([]byte, error) { return nil, &failure }
}

// Hang never answers. It returns when the call is cancelled or the client has gone away.
func Hang(ctx context.Context, _ *Call) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Delayed waits as long as wait says before each call of b.
func Delayed(wait func() time.Duration, b Behaviour) Behaviour {
	return func(ctx context.Context, c *Call) ([]byte, error) {
		if err := sleep(ctx, wait()); err != nil {
			return nil, err
		}
		return b(ctx, c)
	}
}

// UpTo is a random wait for Delayed, even over [0, limit). A limit of zero or less does not wait.
func UpTo(limit time.Duration) func() time.Duration {
	return func() time.Duration {
		if limit <= 0 {
			return 0
		}
		return rand.N(limit)
	}
}

// Progressing sends steps progress notifications, each after the interval every, before each call of b.
func Progressing(steps int, every time.Duration, b Behaviour) Behaviour {
	return func(ctx context.Context, c *Call) ([]byte, error) {
		for step := range steps {
			if err := sleep(ctx, every); err != nil {
				return nil, err
			}
			if err := c.Progress(float64(step+1), float64(steps)); err != nil {
				return nil, err
			}
		}
		return b(ctx, c)
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
