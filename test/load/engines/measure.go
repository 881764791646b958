package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/headgate/headgate/test/load/latency"
)

// result is what came of the requests of one way.
type result struct {
	way      string
	requests int
	tokens   int // that clients have read
	took     time.Duration
	failed   map[string]int // by why
	first    latency.Histogram
	gap      latency.Histogram // between two tokens
	engines  []engineResult
}

// engineResult is an engine's part.
type engineResult struct {
	requests        int
	sampled         int64
	queried, cached int64 // tokens of prompts
}

// measure sends the requests one way, to a cluster of its own, and waits for all answers.
func measure(ctx context.Context, o options, way string, requests []request) (result, error) {
	c, err := startCluster(ctx, o)
	if err != nil {
		return result{}, err
	}
	defer c.stop()
	url := ""
	if way != direct {
		var stop func() error
		if url, stop, err = startGateway(ctx, c, way); err != nil {
			return result{}, err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024}}
	defer client.CloseIdleConnections()
	r := result{way: way, requests: len(requests), failed: map[string]int{}}
	var group sync.WaitGroup
	var mu sync.Mutex
	began := time.Now()
	for i, q := range requests {
		if err := sleepUntil(ctx, began.Add(q.at)); err != nil {
			break
		}
		target, body := url, q.invoke()
		if way == direct {
			target, body = c[i%len(c)].URL+"/v1/completions", q.complete()
		}
		group.Go(func() {
			times, err := ask(ctx, client, target, body)
			mu.Lock()
			defer mu.Unlock()
			r.add(q, times, err)
		})
	}
	group.Wait()
	r.took = time.Since(began)
	for _, server := range c {
		s := server.Stats()
		r.engines = append(r.engines, engineResult{s.Requests, s.Sampled, s.PrefixQueries, s.PrefixHits})
	}
	return r, ctx.Err()
}

func sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// add counts an answer. Its times begin with the request's.
func (r *result) add(q request, times []time.Time, err error) {
	if err == nil && len(times) != q.tokens+1 {
		err = fmt.Errorf("%d tokens instead of %d", len(times)-1, q.tokens)
	}
	if err != nil {
		r.failed[err.Error()]++
		return
	}
	r.tokens += q.tokens
	r.first.Record(times[1].Sub(times[0]))
	for i := range times[2:] {
		r.gap.Record(times[i+2].Sub(times[i+1]))
	}
}

func (q request) complete() map[string]any {
	return map[string]any{"model": "sim", "prompt": q.prompt, "stream": true, "max_tokens": q.tokens, "ignore_eos": true}
}

func (q request) invoke() map[string]any {
	return map[string]any{"id": 1, "method": "invoke", "params": q.complete()}
}

// patience is how long a client waits for the end of an answer.
const patience = time.Minute

var errPatience = fmt.Errorf("no end after %s", patience)

// failure is what an error says, without what is different each time.
func failure(status int, line []byte) error {
	var o struct {
		Error struct {
			Message string
			Data    struct{ Reason string }
		}
	}
	if err := json.Unmarshal(bytes.TrimPrefix(line, []byte("data: ")), &o); err != nil {
		return fmt.Errorf("%d: %s", status, line)
	}
	return fmt.Errorf("%d: %s", status, cmp.Or(o.Error.Data.Reason, o.Error.Message))
}

// ask sends a request and returns when it was sent and when each token came.
func ask(ctx context.Context, client *http.Client, url string, body map[string]any) ([]time.Time, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, done := context.WithTimeoutCause(ctx, patience, errPatience)
	defer done()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	times := []time.Time{time.Now()}
	resp, err := client.Do(req)
	if err != nil {
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	ended := false
	for lines.Scan() {
		line := lines.Bytes()
		switch {
		case bytes.Contains(line, []byte(`"error":`)):
			return nil, failure(resp.StatusCode, line)
		case bytes.Contains(line, []byte(`"text":`)):
			times = append(times, time.Now())
		case bytes.Contains(line, []byte(`"done":true`)), bytes.HasSuffix(line, []byte("[DONE]")):
			ended = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, cmp.Or(context.Cause(ctx), err)
	}
	if !ended {
		return nil, errors.New("the answer has no end")
	}
	return times, nil
}
