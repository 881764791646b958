// Command openai asks questions of an OpenAI-compatible server with OpenAI's own client for Go and prints what it reads, so that tests
// can compare that with what others read. It is a module of its own: the product must not depend on that client.
//
//	OPENAI_BASE_URL=http://127.0.0.1:8000/v1 openai <questions.json
//
// The questions are a JSON array on standard input; the answers are one JSON object a line. The program test/peer/openai/ask.mjs does
// the same with OpenAI's client for Node.js.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
)

// question is what is asked.
type question struct {
	Model     string `json:"model"`
	Prompt    string `json:"prompt"`
	MaxTokens int64  `json:"max_tokens"`
	Chat      bool   `json:"chat"`   // the prompt is a user's message; otherwise it is completed
	Stream    bool   `json:"stream"` // with usage at the end
}

// answer is what was read.
type answer struct {
	Text         string `json:"text"`
	FinishReason string `json:"finish_reason"`
	Usage        *usage `json:"usage"`
	Chunks       int    `json:"chunks"` // that had text
	Status       int    `json:"status"` // of an error; 0: there was none
	Error        string `json:"error"`
}

type usage struct {
	Input  int64 `json:"input"`
	Output int64 `json:"output"`
	Cached int64 `json:"cached"`
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "openai:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var questions []question
	if err := json.Unmarshal(data, &questions); err != nil {
		return err
	}
	client := openai.NewClient(option.WithAPIKey("none"), option.WithMaxRetries(0))
	out := json.NewEncoder(os.Stdout)
	for _, q := range questions {
		a := &answer{}
		if err := ask(ctx, &client, q, a); err != nil {
			a.Error = err.Error()
			if failure, ok := errors.AsType[*openai.Error](err); ok {
				a.Status = failure.StatusCode
			}
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	return nil
}

func ask(ctx context.Context, client *openai.Client, q question, a *answer) error {
	switch {
	case q.Chat && q.Stream:
		return streamChat(ctx, client, q, a)
	case q.Chat:
		return chat(ctx, client, q, a)
	case q.Stream:
		return streamCompletion(ctx, client, q, a)
	default:
		return complete(ctx, client, q, a)
	}
}

func chatParams(q question) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model: q.Model, Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(q.Prompt)},
		MaxTokens: openai.Int(q.MaxTokens), Temperature: openai.Float(0), Seed: openai.Int(1),
	}
}

func chat(ctx context.Context, client *openai.Client, q question, a *answer) error {
	got, err := client.Chat.Completions.New(ctx, chatParams(q))
	if err != nil {
		return err
	}
	for _, choice := range got.Choices {
		a.text(choice.Message.Content, choice.FinishReason)
	}
	a.usage(got.Usage)
	return nil
}

func streamChat(ctx context.Context, client *openai.Client, q question, a *answer) error {
	params := chatParams(q)
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := client.Chat.Completions.NewStreaming(ctx, params)
	defer stream.Close()
	for stream.Next() {
		chunk := stream.Current()
		for _, choice := range chunk.Choices {
			a.text(choice.Delta.Content, choice.FinishReason)
		}
		if chunk.JSON.Usage.Valid() {
			a.usage(chunk.Usage)
		}
	}
	return stream.Err()
}

func completionParams(q question) openai.CompletionNewParams {
	return openai.CompletionNewParams{
		Model: openai.CompletionNewParamsModel(q.Model), Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String(q.Prompt)},
		MaxTokens: openai.Int(q.MaxTokens), Temperature: openai.Float(0), Seed: openai.Int(1),
	}
}

func complete(ctx context.Context, client *openai.Client, q question, a *answer) error {
	got, err := client.Completions.New(ctx, completionParams(q))
	if err != nil {
		return err
	}
	for _, choice := range got.Choices {
		a.text(choice.Text, string(choice.FinishReason))
	}
	a.usage(got.Usage)
	return nil
}

func streamCompletion(ctx context.Context, client *openai.Client, q question, a *answer) error {
	params := completionParams(q)
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	stream := client.Completions.NewStreaming(ctx, params)
	defer stream.Close()
	for stream.Next() {
		chunk := stream.Current()
		for _, choice := range chunk.Choices {
			a.text(choice.Text, string(choice.FinishReason))
		}
		if chunk.JSON.Usage.Valid() {
			a.usage(chunk.Usage)
		}
	}
	return stream.Err()
}

// text adds a piece of the answer.
func (a *answer) text(text, reason string) {
	if a.Text += text; text != "" {
		a.Chunks++
	}
	if reason != "" {
		a.FinishReason = reason
	}
}

func (a *answer) usage(u openai.CompletionUsage) {
	a.Usage = &usage{Input: u.PromptTokens, Output: u.CompletionTokens, Cached: u.PromptTokensDetails.CachedTokens}
}
