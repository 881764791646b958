//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// prompt is what all streams are asked. The engine answers it in the same words each time.
const prompt = "Tell me of gates, and of those who stand at them."

// dialect is how a stream is asked for, and what its lines are.
type dialect struct {
	request string
	data    []byte // that lines of it begin with; others are skipped
	end     []byte // the last line
	token   func(line []byte) (text string, is bool)
}

const messages = `"messages":[{"role":"user","content":"` + prompt + `"}],"stream":true,"ignore_eos":true,"max_tokens":`

// The dialects.
var (
	openAI = dialect{
		request: fmt.Sprintf(`{"model":%q,`+messages+`%d,"stream_options":{"include_usage":true}}`, streamModel, streamTokens),
		data:    []byte("data: "), end: []byte("[DONE]"), token: openAIToken,
	}
	ours = dialect{
		request: fmt.Sprintf(`{"id":1,"method":"invoke","params":{"model":%q,`+messages+`%d}}`, streamModel, streamTokens),
		end:     []byte(`{"id":1,"done":true}`), token: ourToken,
	}
)

func openAIToken(line []byte) (string, bool) {
	var chunk struct {
		Choices []struct{ Delta struct{ Content string } }
	}
	if json.Unmarshal(line, &chunk) != nil || len(chunk.Choices) == 0 {
		return "", false
	}
	return chunk.Choices[0].Delta.Content, chunk.Choices[0].Delta.Content != ""
}

func ourToken(line []byte) (string, bool) {
	var object struct {
		Result struct{ Chunk struct{ Text string } }
	}
	err := json.Unmarshal(line, &object)
	return object.Result.Chunk.Text, err == nil && object.Result.Chunk.Text != ""
}

// tally is what came of streams while it was counted.
type tally struct {
	tokens       int64
	firsts, gaps []time.Duration
	failed       int64
	example      error
}

// readers read streams, one after the other on each connection.
type readers struct {
	target   *streamTarget
	client   *http.Client
	counting atomic.Bool
	running  sync.WaitGroup

	mu   sync.Mutex
	all  tally
	text string // of a whole stream, the first that came
}

// listen starts n readers, which begin one after the other within a time.
func listen(ctx context.Context, t *streamTarget, n int, within time.Duration) *readers {
	r := &readers{target: t, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n, DisableCompression: true}}}
	for i := range n {
		r.running.Go(func() {
			pause(ctx, within*time.Duration(i)/time.Duration(n))
			for ctx.Err() == nil {
				t, err := r.read(ctx)
				if ctx.Err() == nil || err == nil {
					r.add(t, err)
				}
				if err != nil {
					pause(ctx, time.Second) // a target that refuses all need not be asked without a break
				}
			}
		})
	}
	return r
}

// count begins and ends the counting.
func (r *readers) count(yes bool) { r.counting.Store(yes) }

func (r *readers) wait() {
	r.running.Wait()
	r.client.CloseIdleConnections()
}

func (r *readers) sample() tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all
}

func (r *readers) add(t *tally, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.all.failed++
		r.all.example = err
	}
	if t != nil {
		r.all.firsts = append(r.all.firsts, t.firsts...)
		r.all.gaps = append(r.all.gaps, t.gaps...)
	}
}

// read reads a stream to its end.
func (r *readers) read(ctx context.Context) (*tally, error) {
	d := &r.target.dialect
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.target.url, bytes.NewReader([]byte(d.request)))
	if err != nil {
		return nil, err
	}
	if r.target.header != nil {
		req.Header = r.target.header.Clone()
	}
	req.Header.Set("Content-Type", "application/json")
	last := time.Now()
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := &tally{}
	var text []byte
	tokens, ended := 0, false
	in := bufio.NewScanner(resp.Body)
	for in.Scan() {
		line, ok := bytes.CutPrefix(in.Bytes(), d.data)
		if !ok || len(line) == 0 {
			continue
		}
		if bytes.Equal(line, d.end) {
			ended = true // the connection can be used again once it is read to the end
			continue
		}
		token, ok := d.token(line)
		if !ok {
			if resp.StatusCode != http.StatusOK {
				return out, fmt.Errorf("status %d: %s", resp.StatusCode, line)
			}
			continue
		}
		tokens++
		text = append(text, token...)
		r.token(out, tokens, &last)
	}
	if ended && in.Err() == nil {
		return out, r.check(string(text), tokens)
	}
	return out, errors.Join(in.Err(), fmt.Errorf("the stream ended after %d tokens", tokens))
}

// token counts a token.
func (r *readers) token(out *tally, n int, last *time.Time) {
	now := time.Now()
	since := now.Sub(*last)
	*last = now
	if !r.counting.Load() {
		return
	}
	if n == 1 {
		out.firsts = append(out.firsts, since)
	} else {
		out.gaps = append(out.gaps, since)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all.tokens++
}

// check compares what a stream has said with what the first one said.
func (r *readers) check(text string, tokens int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.text == "" {
		r.text = text
	}
	if tokens != streamTokens || text != r.text {
		return fmt.Errorf("a stream of %d tokens: %q", tokens, text)
	}
	return nil
}

// quantile returns the value that a part of all values do not exceed.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}
