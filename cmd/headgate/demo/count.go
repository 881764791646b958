package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Bounds of the tool count.
const (
	maxCount     = 1000
	maxPause     = 5 * time.Second
	defaultPause = 200 * time.Millisecond
)

// counting returns the tools of the server stream.
func counting() []*tool {
	return []*tool{{
		Name: "count", Title: "Count", Description: "Counts up to a number, reporting each step as progress.",
		Annotations: annotations{ReadOnly: true}, run: count,
		Input: json.RawMessage(`{"type":"object","properties":{` +
			`"to":{"type":"integer","minimum":1,"maximum":1000},` +
			`"pause_ms":{"type":"integer","minimum":0,"maximum":5000,"default":200}},` +
			`"required":["to"],"additionalProperties":false}`),
	}}
}

func count(ctx context.Context, c *call) (outcome, error) {
	var in struct {
		To    *int64 `json:"to"`
		Pause *int64 `json:"pause_ms"`
	}
	if err := c.bind(&in); err != nil {
		return outcome{}, err
	}
	if in.To == nil || *in.To < 1 || *in.To > maxCount {
		return outcome{}, fmt.Errorf("to must be a number from 1 to %d", maxCount)
	}
	pause := defaultPause
	if in.Pause != nil {
		if *in.Pause < 0 || *in.Pause > maxPause.Milliseconds() {
			return outcome{}, fmt.Errorf("pause_ms must be a number from 0 to %d", maxPause.Milliseconds())
		}
		pause = time.Duration(*in.Pause) * time.Millisecond
	}
	total := int(*in.To)
	for i := 1; i <= total; i++ {
		if !sleep(ctx, pause) {
			return outcome{}, errors.New("cancelled")
		}
		if err := c.report(i, total, fmt.Sprintf("counted %d", i)); err != nil {
			return outcome{}, fmt.Errorf("report progress: %w", err)
		}
	}
	return outcome{text: fmt.Sprintf("counted to %d", total)}, nil
}
