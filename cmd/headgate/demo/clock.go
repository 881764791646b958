package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// maxWait is the longest that the tool wait waits.
const maxWait = 30 * time.Second

// clock returns the tools of the server clock.
func clock() []*tool {
	return []*tool{
		{
			Name: "now", Title: "Time of day", Description: "Tells the time in UTC.", Annotations: annotations{ReadOnly: true}, run: now,
			Input: json.RawMessage(`{"type":"object","properties":{},"additionalProperties":false}`),
			Output: json.RawMessage(`{"type":"object","properties":{"time":{"type":"string","format":"date-time"},"unix":{"type":"integer"}},` +
				`"required":["time","unix"]}`),
		},
		{
			Name: "wait", Title: "Wait", Description: "Waits some milliseconds, at most 30,000. Cancelling the call ends it.",
			Annotations: annotations{ReadOnly: true}, run: wait,
			Input: json.RawMessage(`{"type":"object","properties":{"ms":{"type":"integer","minimum":0,"maximum":30000}},` +
				`"required":["ms"],"additionalProperties":false}`),
		},
	}
}

func now(_ context.Context, c *call) (outcome, error) {
	if err := c.bind(&struct{}{}); err != nil {
		return outcome{}, err
	}
	at := time.Now().UTC()
	structured := map[string]any{"time": at.Format(time.RFC3339), "unix": at.Unix()}
	text, err := json.Marshal(structured) // clients without structured content read the same as text
	return outcome{text: string(text), structured: structured}, err
}

func wait(ctx context.Context, c *call) (outcome, error) {
	var in struct {
		MS *int64 `json:"ms"`
	}
	if err := c.bind(&in); err != nil {
		return outcome{}, err
	}
	if in.MS == nil || *in.MS < 0 || *in.MS > maxWait.Milliseconds() {
		return outcome{}, fmt.Errorf("ms must be a number from 0 to %d", maxWait.Milliseconds())
	}
	if !sleep(ctx, time.Duration(*in.MS)*time.Millisecond) {
		return outcome{}, errors.New("cancelled")
	}
	return outcome{text: fmt.Sprintf("waited %d ms", *in.MS)}, nil
}

// sleep waits and reports whether it did not have to stop early.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
