package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Bounds of one drain. A hostile upstream may page for ever.
const (
	maxPages = 100
	maxItems = 10_000
	maxBytes = 16 << 20
)

// Lifetimes of a snapshot: legacyTTL where the upstream gives none, minTTL so that
// "stale at once" does not mean a drain for every call.
const (
	legacyTTL = 30 * time.Second
	minTTL    = time.Second
)

// snapshot is what one upstream listed to one audience. It never changes.
type snapshot struct {
	tools   []tool
	hash    [sha256.Size]byte
	expires time.Time
	ttl     time.Duration
	public  bool // the upstream lets anybody share it
}

// drain lists all of an upstream's tools.
func drain(ctx context.Context, src Source, client rpc.Client) (*snapshot, []error, error) {
	desc, err := src.Describe(ctx)
	if err != nil {
		return nil, nil, err
	}
	d := drainer{source: src, client: client, strict: desc.Era == rpc.Modern && desc.HTTP, seen: map[string]bool{}, ttl: -1, public: true}
	if offersTools(desc.Capabilities) {
		if err := d.pages(ctx); err != nil {
			return nil, nil, err
		}
	}
	return d.snapshot(), d.problems, nil
}

// offersTools reports whether a server declares tools. One that declares nothing at
// all is asked anyway.
func offersTools(capabilities json.RawMessage) bool {
	if len(capabilities) == 0 || capabilities[0] != '{' {
		return true
	}
	o, err := rpc.ReadObject(capabilities)
	if err != nil {
		return true
	}
	_, ok := o.Get("tools")
	return ok
}

type drainer struct {
	source   Source
	client   rpc.Client
	strict   bool
	tools    []tool
	seen     map[string]bool // own names
	size     int
	ttl      time.Duration // smallest given; negative if none was
	public   bool
	problems []error
}

func (d *drainer) pages(ctx context.Context) error {
	var cursor json.RawMessage
	for range maxPages {
		next, err := d.page(ctx, cursor)
		if err != nil {
			return err
		}
		// Presence is what counts: an empty string is a valid cursor (MCP 2026-07-28,
		// Pagination). One that repeats would never end.
		if next == nil || string(next) == string(cursor) {
			return nil
		}
		cursor = next
	}
	d.problems = append(d.problems, fmt.Errorf("list cut after %d pages", maxPages))
	return nil
}

func (d *drainer) page(ctx context.Context, cursor json.RawMessage) (next json.RawMessage, err error) {
	response, err := ask(ctx, d.source, d.client, mcp.ToolsList, cursor)
	if err != nil {
		return nil, err
	}
	if err := response.CheckBody(); err != nil {
		return nil, fmt.Errorf("tools/list: %w", err)
	}
	list, ok := response.Get("tools")
	if !ok {
		return nil, errors.New("tools/list: result without tools")
	}
	items, err := rpc.Elements(list)
	if err != nil {
		return nil, fmt.Errorf("tools/list: %w", err)
	}
	d.hints(response)
	for _, item := range items {
		d.size += len(item)
		if len(d.tools) >= maxItems || d.size > maxBytes {
			d.problems = append(d.problems, errors.New("list cut: too many or too large entries"))
			return nil, nil
		}
		d.add(item)
	}
	if next, ok = response.Get("nextCursor"); !ok || next[0] != '"' {
		return nil, nil
	}
	return next, nil
}

func (d *drainer) add(item json.RawMessage) {
	t, err := readTool(d.source.Name, item, d.strict)
	switch {
	case err != nil:
		d.problems = append(d.problems, fmt.Errorf("tool left out: %w", err))
	case d.seen[t.own]:
		d.problems = append(d.problems, fmt.Errorf("tool %s is listed twice; the first one counts", rpc.Excerpt(t.own)))
	case !d.source.Allows(t.own):
	default:
		d.seen[t.own] = true
		d.tools = append(d.tools, t)
	}
}

// hints reads ttlMs and cacheScope (SEP-2549); the least generous page counts.
func (d *drainer) hints(m *rpc.Message) {
	if scope, _ := m.Text("cacheScope"); scope != "public" {
		d.public = false
	}
	text, ok := m.Get("ttlMs")
	if !ok {
		return
	}
	ms, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || ms < 0 {
		ms = 0
	}
	if ttl := time.Duration(min(ms, int64(time.Hour/time.Millisecond))) * time.Millisecond; d.ttl < 0 || ttl < d.ttl {
		d.ttl = ttl
	}
}

func (d *drainer) snapshot() *snapshot {
	s := &snapshot{tools: d.tools, ttl: d.ttl, public: d.public}
	if s.ttl < 0 {
		s.ttl = legacyTTL
	}
	s.expires = time.Now().Add(max(s.ttl, minTTL))
	h := sha256.New()
	for _, t := range s.tools {
		fmt.Fprintf(h, "%d:", len(t.text))
		h.Write(t.text)
	}
	h.Sum(s.hash[:0])
	return s
}

// ask sends a request of the gateway's own and returns a copy of the response.
func ask(ctx context.Context, src Source, client rpc.Client, method string, cursor json.RawMessage) (*rpc.Message, error) {
	row, _ := mcp.Lookup(method, mcp.LatestModern)
	message := rpc.NewRequest(rpc.NumberID(1), method, nil)
	if cursor != nil {
		message.Set("cursor", cursor)
	}
	reply, err := src.Handler.Handle(ctx, &rpc.Call{
		Message: message.Clone(), Method: row, Dialect: rpc.MCP, Received: time.Now(), Client: client,
		Target: rpc.Target{Upstream: src.Name},
	})
	if err != nil {
		return nil, err
	}
	defer reply.Close() //nolint:errcheck // the response has been read; nothing is left to fail
	for {
		m, err := reply.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%s: no response", method)
		case err != nil:
			return nil, err
		case m.Err != nil:
			return nil, fmt.Errorf("%s: the server answered error %d: %s", method, m.Err.Code, rpc.Excerpt(m.Err.Message))
		case m.IsResponse():
			return m.Clone(), nil
		}
	}
}
