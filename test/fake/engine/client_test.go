package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/test/fake/engine"
)

// client speaks to an engine through pipes, so that time may be a bubble's.
func client(t *testing.T, e *engine.Engine) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: e.Dial, DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// post sends a body and returns the status, the header and the whole answer.
func post(t *testing.T, c *http.Client, path, body string) (int, http.Header, string) {
	t.Helper()
	resp, err := open(t.Context(), c, path, body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(answer)
}

func open(ctx context.Context, c *http.Client, path, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://engine"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

// line is a chunk of a stream and when it came.
type line struct {
	at   time.Duration
	text string
}

// stream reads an answer line by line; the empty ones between events are left out.
func stream(t *testing.T, c *http.Client, path, body string) ([]line, error) {
	t.Helper()
	began := time.Now()
	resp, err := open(t.Context(), c, path, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var got []line
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if text := strings.TrimPrefix(lines.Text(), "data: "); text != "" {
			got = append(got, line{time.Since(began), text})
		}
	}
	return got, lines.Err()
}

// chunk is what tests look at in an answer of OpenAI's API.
type chunk struct {
	Choices []struct {
		Index        int
		Delta        struct{ Role, Content string }
		Message      struct{ Content string }
		Text         string
		FinishReason string `json:"finish_reason"`
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Details    *struct {
			Cached int `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
	}
	Error *struct {
		Message string
		Code    int
	}
}

func parse(t *testing.T, text string) chunk {
	t.Helper()
	var c chunk
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return c
}

const hello = `{"model":"sim","messages":[{"role":"user","content":"hello"}]`
