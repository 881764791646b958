package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// OpenAIClients are OpenAI's own clients: for Node.js and for Go.
const (
	OpenAINode = "openai for Node.js"
	OpenAIGo   = "openai-go"
)

// Question is what an OpenAI client is told to ask, at temperature 0.
type Question struct {
	Model     string `json:"model"`
	Prompt    string `json:"prompt"`
	MaxTokens int64  `json:"max_tokens"`
	Chat      bool   `json:"chat"`   // the prompt is a user's message; otherwise it is completed
	Stream    bool   `json:"stream"` // with usage at the end
}

// Answer is what an OpenAI client has read.
type Answer struct {
	Text         string       `json:"text"`
	FinishReason string       `json:"finish_reason"`
	Usage        *AnswerUsage `json:"usage"`  // nil: the answer had none
	Chunks       int          `json:"chunks"` // that had text; one of a unary answer
	Status       int          `json:"status"` // of an error; 0: there was none, or no answer
	Error        string       `json:"error"`  // in the client's words
}

// AnswerUsage is a number of tokens for each kind.
type AnswerUsage struct {
	Input  int64 `json:"input"`
	Output int64 `json:"output"`
	Cached int64 `json:"cached"`
}

// AskOpenAI has one of OpenAI's clients ask a server, whose URL ends in /v1, one question after the other.
func (s *Set) AskOpenAI(ctx context.Context, client, url string, questions []Question) ([]Answer, error) {
	asked, err := json.Marshal(questions)
	if err != nil {
		return nil, err
	}
	argv := []string{filepath.Join(s.dir, string(OpenAI), "openai-go")}
	if client == OpenAINode {
		argv = []string{filepath.Join(s.dir, "runtime", "node_modules", "node24", "bin", "node"), filepath.Join(s.dir, filepath.FromSlash(askScript))}
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "OPENAI_BASE_URL="+url)
	cmd.Stdin = bytes.NewReader(asked)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = drainTimeout
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", client, err, &stderr)
	}
	var answers []Answer
	for lines := json.NewDecoder(&stdout); lines.More(); {
		var a Answer
		if err := lines.Decode(&a); err != nil {
			return nil, fmt.Errorf("%s: %w", client, err)
		}
		answers = append(answers, a)
	}
	if len(answers) != len(questions) {
		return nil, fmt.Errorf("%s: %d answers to %d questions: %s", client, len(answers), len(questions), &stderr)
	}
	return answers, nil
}

// AskOpenAI has one of OpenAI's clients ask a server, whose URL ends in /v1.
func AskOpenAI(t testing.TB, client, url string, questions ...Question) []Answer {
	t.Helper()
	answers, err := Installed(t).AskOpenAI(t.Context(), client, url, questions)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}
