package model

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

const (
	typeJSON   = "application/json"
	typeEvents = "text/event-stream"
	typeLines  = "application/x-ndjson"

	// maxEvent bounds an event of a stream. What is longer is no part of a text that a model writes token by token.
	maxEvent = 1 << 20
	// maxLine bounds a line of a stream. The last one may hold the context of a conversation, which is a number for each token.
	maxLine = 4 << 20
	// maxComplaint bounds what is read of an answer that is an error.
	maxComplaint = 64 << 10
	// maxListing bounds the answer to a question that is not an invocation.
	maxListing = 4 << 20
)

// web is the HTTP side of a backend.
type web struct {
	peer
	client *upstream.Client
	url    *url.URL
	fixed  []upstream.Field
}

// newWeb reads where a backend is and what it is sent with each request.
func newWeb(cfg config.ModelBackend, deps BackendDeps) (*web, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	w := &web{url: u, client: deps.HTTP}
	if w.client == nil {
		w.client = upstream.NewClient(upstream.ClientConfig{})
	}
	w.peer = peer{
		cfg: cfg, deps: deps, hop: rpc.Hop{Upstream: deps.Model, Backend: u.Host, Transport: cfg.Kind},
		fault: fault{model: deps.Model, secrets: []string{u.Hostname()}},
	}
	w.fixed = []upstream.Field{{Name: "User-Agent", Value: deps.Agent}}
	for name, value := range cfg.Headers {
		switch http.CanonicalHeaderKey(name) {
		case "Accept", "Content-Type":
			continue // they are what the gateway says of its own messages
		}
		w.fixed = append(w.fixed, upstream.Field{Name: name, Value: value.Reveal()})
		w.fault.hide(value.Reveal())
	}
	slices.SortFunc(w.fixed, func(a, b upstream.Field) int { return strings.Compare(a.Name, b.Name) })
	return w, nil
}

// at returns where requests go whose path is the configured one with something behind it.
func (w *web) at(suffix string) (*upstream.Endpoint, error) {
	u := *w.url
	u.Path = strings.TrimSuffix(u.Path, "/") + suffix
	u.RawPath = ""
	return upstream.NewEndpoint(&u, w.fixed)
}

// post sends the body of an invocation, and returns the answer if its status is no error.
func (w *web) post(r *run, to *upstream.Endpoint, accept string, body []byte) (*upstream.Response, error) {
	resp, err := w.send(r, to, accept, body)
	if err == nil && resp.Status != http.StatusOK {
		return nil, w.refusal(resp)
	}
	return resp, err
}

// send sends the body of an invocation, and returns the answer whatever its status.
func (w *web) send(r *run, to *upstream.Endpoint, accept string, body []byte) (*upstream.Response, error) {
	header := [5]upstream.Field{{Name: "Content-Type", Value: typeJSON}, {Name: "Accept", Value: accept}}
	fields := header[:2]
	if r.name != "" {
		fields = append(fields, upstream.Field{Name: "X-Request-Id", Value: r.name})
	}
	var room [rpc.TraceParentSize]byte
	if parent := r.try.AppendTraceParent(room[:0]); len(parent) > 0 {
		fields = append(fields, upstream.Field{Name: "traceparent", Bytes: parent})
		if state := r.try.TraceState(); state != "" {
			fields = append(fields, upstream.Field{Name: "tracestate", Value: state})
		}
	}
	r.tally.note()
	return w.client.Do(r.ctx, &upstream.Request{Method: http.MethodPost, Endpoint: to, Header: fields, Body: body})
}

// refusal makes the error of an answer whose status is one.
func (w *web) refusal(resp *upstream.Response) error {
	said := ""
	body, _ := resp.ReadAll(nil, maxComplaint)
	if o, err := rpc.ParseObject(body); err == nil {
		_, said, _ = complaint(o)
	}
	return w.fault.refused(resp.Status, said, retryAfter(resp.Header.Get("Retry-After")))
}

// whole reads an answer that is one JSON object.
func (w *web) whole(resp *upstream.Response) (rpc.Object, error) {
	if err := w.expect(resp, typeJSON); err != nil {
		return rpc.Object{}, err
	}
	body, err := resp.ReadAll(nil, int(w.deps.MaxResult))
	if err != nil {
		return rpc.Object{}, err
	}
	return w.object(body)
}

// object reads a JSON object that is an answer or a part of one, and no error.
func (p *peer) object(text []byte) (rpc.Object, error) {
	o, err := rpc.ParseObject(text)
	if err != nil {
		return o, p.fault.malformed(err, "an answer")
	}
	if o.Len() > maxMembers {
		return o, p.fault.malformed(nil, "an answer")
	}
	if code, said, found := complaint(o); found {
		return o, p.fault.complained(code, said)
	}
	return o, nil
}

// maxMembers bounds the members of an object that are passed on.
const maxMembers = 256

// expect checks the media type of an answer. Some servers name none.
func (w *web) expect(resp *upstream.Response, want ...string) error {
	kind := mediaType(resp)
	if kind == "" || slices.Contains(want, kind) {
		return nil
	}
	defer func() { _ = resp.Close() }()
	if kind == typeJSON { // it can be an error whose status does not say so
		body, _ := resp.ReadAll(nil, maxComplaint)
		if o, err := rpc.ParseObject(body); err == nil {
			if code, said, found := complaint(o); found {
				return w.fault.complained(code, said)
			}
		}
	}
	return w.fault.failed(nil, "answered with %s instead of %s", rpc.Excerpt(kind), want[0])
}

// mediaType returns the media type of an answer in lower case, without parameters.
func mediaType(resp *upstream.Response) string {
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// get asks for something that is no invocation, and returns the body of an answer whose status is no error. The status
// is 0 where there was no answer.
func (w *web) get(ctx context.Context, from *upstream.Endpoint) (status int, body []byte, err error) {
	return w.exchange(ctx, &upstream.Request{Method: http.MethodGet, Endpoint: from, Header: []upstream.Field{{Name: "Accept", Value: typeJSON}}})
}

// ask sends something of the gateway's own that has to be answered, whatever the answer is.
func (w *web) ask(ctx context.Context, to *upstream.Endpoint, body []byte) error {
	header := []upstream.Field{{Name: "Content-Type", Value: typeJSON}, {Name: "Accept", Value: typeJSON}}
	_, text, err := w.exchange(ctx, &upstream.Request{Method: http.MethodPost, Endpoint: to, Header: header, Body: body})
	if err != nil {
		return err
	}
	_, err = w.object(text)
	return err
}

func (w *web) exchange(ctx context.Context, req *upstream.Request) (status int, body []byte, err error) {
	resp, err := w.client.Do(ctx, req)
	if err != nil {
		return 0, nil, w.fault.exchange(err)
	}
	if resp.Status != http.StatusOK {
		return resp.Status, nil, w.refusal(resp)
	}
	if body, err = resp.ReadAll(nil, maxListing); err != nil {
		return resp.Status, nil, w.fault.exchange(err)
	}
	return resp.Status, body, nil
}

// Close implements [Backend].
func (w *web) Close() error {
	w.client.CloseIdle()
	return nil
}
