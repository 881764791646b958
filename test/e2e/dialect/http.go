package dialect

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// overHTTP sends each message as a request of its own.
type overHTTP struct {
	target  Target
	session string
}

func dialHTTP(_ context.Context, target Target) (client, error) {
	return &overHTTP{target: target}, nil
}

func (c *overHTTP) resume(_ context.Context, session string) (client, error) {
	return &overHTTP{c.target, session}, nil
}

func (c *overHTTP) keep(session string) { c.session = session }
func (*overHTTP) close()                {}

func (c *overHTTP) ask(ctx context.Context, id any, method string, params map[string]any) (answer, error) {
	text, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	ctx, leave := context.WithCancel(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.target.URL, bytes.NewReader(text))
	if err != nil {
		leave()
		return nil, err
	}
	if c.target.Header != nil {
		req.Header = c.target.Header.Clone()
	}
	req.Header.Set("Content-Type", "application/json")
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		leave()
		return nil, err
	}
	a := &body{in: bufio.NewReader(resp.Body), body: resp.Body, cancel: leave}
	switch kind := resp.Header.Get("Content-Type"); {
	case kind == "application/x-ndjson" && resp.StatusCode == http.StatusOK:
	case kind == "application/json":
		a.status = resp.StatusCode
	default:
		a.leave()
		return nil, fmt.Errorf("status %s, content type %q", resp.Status, kind)
	}
	return a, nil
}

// body is the objects of an HTTP answer.
type body struct {
	in     *bufio.Reader
	body   io.Closer
	cancel context.CancelFunc
	status int // of an answer that is no stream
}

func (b *body) next() (o Object, err error) {
	line, err := b.in.ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || strings.TrimSpace(line) == "") {
		return o, err
	}
	if err := json.Unmarshal([]byte(line), &o); err != nil {
		return o, fmt.Errorf("%q: %w", line, err)
	}
	if b.status != 0 && (o.Error == nil) != (b.status == http.StatusOK) {
		return o, fmt.Errorf("status %d for %s", b.status, line)
	}
	return o, nil
}

func (b *body) leave() {
	b.cancel()
	_ = b.body.Close()
}
