package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/headgate/headgate/config"
)

// Model is the name of the demo's model, and the tool that is its backend.
const (
	Model      = "parrot"
	reciteTool = "recite"
)

// Bounds of the tool recite.
const (
	maxWords   = 1000
	wordsPause = 20 * time.Millisecond
)

// reciting returns the tool that is a model's backend: what it reports is its answer as far as it has come.
func reciting() []*tool {
	return []*tool{{
		Name: reciteTool, Title: "Recite", Description: "Says a text back, word by word.",
		Annotations: annotations{ReadOnly: true}, run: recite,
		Input: json.RawMessage(`{"type":"object","properties":{` +
			`"prompt":{"type":"string"},` +
			`"max_tokens":{"type":"integer","minimum":1,"description":"words at most"}},` +
			`"required":["prompt"],"additionalProperties":false}`),
	}}
}

func recite(ctx context.Context, c *call) (outcome, error) {
	var in struct {
		Prompt *string `json:"prompt"`
		Most   *int64  `json:"max_tokens"`
	}
	if err := c.bind(&in); err != nil {
		return outcome{}, err
	}
	if in.Prompt == nil {
		return outcome{}, errors.New("prompt must be a text")
	}
	words := strings.Fields(*in.Prompt)
	if in.Most != nil {
		if *in.Most < 1 {
			return outcome{}, errors.New("max_tokens must be a number from 1 on")
		}
		words = words[:min(int64(len(words)), *in.Most)]
	}
	if len(words) > maxWords {
		return outcome{}, fmt.Errorf("prompt must have %d words at most", maxWords)
	}
	for i, word := range words {
		if i > 0 {
			word = " " + word
		}
		if err := c.report(i+1, len(words), word); err != nil {
			return outcome{}, fmt.Errorf("report progress: %w", err)
		}
		if !sleep(ctx, wordsPause) {
			return outcome{}, errors.New("cancelled")
		}
	}
	return outcome{text: strings.Join(words, " ")}, nil
}

// Models returns the models of the demo as entries of a configuration.
func (s *Servers) Models() []config.Model {
	return []config.Model{config.NewModel(Model, config.ModelBackend{Kind: "mcp", Upstream: "stream", Tool: reciteTool, Weight: 1})}
}
