package catalog

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Bounds of one drain. A hostile upstream may page for ever, or fill a list, and each client's memory, with one entry.
const (
	maxPages = 100
	maxBytes = 16 << 20
	maxEntry = 1 << 20
)

// Lifetimes of a snapshot: unsaidTTL where neither the upstream nor the configuration
// gives one, minTTL so that "stale at once" does not mean a drain for every call.
const (
	unsaidTTL = 30 * time.Second
	minTTL    = time.Second
)

// snapshot is what one upstream listed to one audience. It never changes.
type snapshot struct {
	items   []item
	offered bool // the upstream has such a list
	hash    [sha256.Size]byte
	at      time.Time // when it was taken
	expires time.Time
	ttl     time.Duration
	public  bool // the upstream lets anybody share it
}

// drain lists all that an upstream has of a kind.
func drain(ctx context.Context, src Source, l list, client rpc.Client) (*snapshot, []error, error) {
	desc, err := src.Describe(ctx)
	if err != nil {
		return nil, nil, err
	}
	d := drainer{
		source: src, list: l, traits: l.traits(), client: client, strict: desc.Era == rpc.Modern && desc.HTTP,
		seen: map[string]bool{}, ttl: -1, public: true,
	}
	if d.offered = offers(desc.Capabilities, d.capability); d.offered {
		if err := d.pages(ctx); err != nil {
			return nil, nil, err
		}
	}
	d.review(ctx, desc)
	return d.snapshot(), d.problems, nil
}

// offers reports whether a server declares a capability. One that declares nothing
// at all is asked anyway.
func offers(capabilities json.RawMessage, name string) bool {
	if len(capabilities) == 0 || capabilities[0] != '{' {
		return true
	}
	o, err := rpc.ReadObject(capabilities)
	if err != nil {
		return true
	}
	_, ok := o.Get(name)
	return ok
}

type drainer struct {
	*traits
	source   Source
	list     list
	client   rpc.Client
	strict   bool
	offered  bool
	items    []item
	texts    []json.RawMessage // of the items, as the server wrote them
	seen     map[string]bool   // own names
	cut      bool              // there is more
	size     int
	ttl      time.Duration // smallest given; negative if none was
	public   bool
	problems []error
}

func (d *drainer) pages(ctx context.Context) error {
	var cursor json.RawMessage
	followed := map[string]bool{}
	for range maxPages {
		next, err := d.page(ctx, cursor)
		if refusal, ok := errors.AsType[*rpc.WireError](err); ok && refusal.Code == mcp.CodeMethodNotFound {
			d.offered = false // whatever it declared
			return nil
		}
		if err != nil {
			return err
		}
		// Presence is what counts: an empty string is a valid cursor (MCP 2026-07-28,
		// Pagination). One that comes again would never end.
		if next == nil || followed[string(next)] {
			return nil
		}
		followed[string(next)] = true
		cursor = next
	}
	d.cut = true
	d.problems = append(d.problems, fmt.Errorf("%s cut after %d pages", d.method, maxPages))
	return nil
}

func (d *drainer) page(ctx context.Context, cursor json.RawMessage) (next json.RawMessage, err error) {
	response, spoken, err := ask(ctx, d.source, d.client, d.method, cursor)
	if err != nil {
		return nil, err
	}
	if err := response.CheckBody(); err != nil {
		return nil, fmt.Errorf("%s: %w", d.method, err)
	}
	list, ok := response.Get(d.member)
	if !ok {
		return nil, fmt.Errorf("%s: result without %s", d.method, d.member)
	}
	entries, err := rpc.Elements(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.method, err)
	}
	d.hints(response, spoken)
	for _, entry := range entries {
		d.size += len(entry)
		if len(d.items) >= d.limit || d.size > maxBytes {
			d.cut = true
			d.problems = append(d.problems, fmt.Errorf("%s cut: too many or too large entries", d.method))
			return nil, nil
		}
		d.add(entry)
	}
	if next, ok = response.Get("nextCursor"); !ok || next[0] != '"' {
		return nil, nil
	}
	return next, nil
}

func (d *drainer) add(text json.RawMessage) {
	if len(text) > maxEntry {
		d.problems = append(d.problems, fmt.Errorf("%s left out: its entry has %d bytes, more than %d", d.noun, len(text), maxEntry))
		return
	}
	i, err := readItem(d.list, d.source.Name, text, d.strict)
	if d.source.Apart && err == nil {
		i.canonical = Bare(i.own)
	}
	switch {
	case err != nil:
		d.problems = append(d.problems, fmt.Errorf("%s left out: %w", d.noun, err))
	case d.seen[i.own]:
		d.problems = append(d.problems, fmt.Errorf("%s %s is listed twice; the first one counts", d.noun, rpc.Excerpt(i.own)))
	case d.list == toolList && !d.source.Allows(i.own):
	default:
		d.seen[i.own] = true
		d.items = append(d.items, i)
		d.texts = append(d.texts, text)
	}
}

// hints reads how long a page may be kept (SEP-2549); the least generous page counts.
func (d *drainer) hints(m *rpc.Message, spoken rpc.Revision) {
	life := mcp.LifetimeOf(m, spoken)
	d.public = d.public && life.Public
	if life.Said && (d.ttl < 0 || life.TTL < d.ttl) {
		d.ttl = life.TTL
	}
}

func (d *drainer) snapshot() *snapshot {
	s := &snapshot{items: d.items, offered: d.offered, ttl: d.ttl, public: d.public}
	if s.ttl < 0 {
		s.ttl = cmp.Or(d.source.Unsaid, unsaidTTL)
	}
	s.at = time.Now()
	s.expires = s.at.Add(max(s.ttl, minTTL))
	s.sum()
	return s
}

// sum tells the snapshot from others.
func (s *snapshot) sum() {
	h := sha256.New()
	for i := range s.items {
		if s.items[i].withheld != "" {
			continue // clients do not know of it
		}
		fmt.Fprintf(h, "%d:", len(s.items[i].text))
		h.Write(s.items[i].text)
	}
	h.Sum(s.hash[:0])
}

// ask sends a request of the gateway's own and returns a copy of the response, and the
// revision it is of.
func ask(ctx context.Context, src Source, client rpc.Client, method string, cursor json.RawMessage) (*rpc.Message, rpc.Revision, error) {
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
		return nil, "", err
	}
	defer reply.Close() //nolint:errcheck // the response has been read; nothing is left to fail
	for {
		m, err := reply.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil, "", fmt.Errorf("%s: no response", method)
		case err != nil:
			return nil, "", err
		case m.Err != nil:
			refusal := *m.Err
			refusal.Message, refusal.Data = rpc.Excerpt(refusal.Message), nil
			return nil, "", fmt.Errorf("%s: the server answered error %d: %w", method, refusal.Code, &refusal)
		case m.IsResponse():
			return m.Clone(), reply.Revision, nil
		}
	}
}
