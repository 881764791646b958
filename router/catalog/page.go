package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/headgate/headgate/rpc"
)

// A page ends after so many entries or bytes. Pages are large because many clients
// read only the first.
const (
	pageEntries = 1000
	pageBytes   = 4 << 20
)

// cursorLife is how long a cursor may be used. It bounds replays, nothing is kept
// for it.
const cursorLife = time.Hour

// purposeCursor keeps cursors apart from other sealed handles.
const purposeCursor = "cursor"

// List answers a method that lists tools, prompts, resources or resource templates
// for a view: the result's text. It fails only if no upstream of the view has ever
// answered, or if the view has just one and that has no such list.
func (c *Catalog) List(ctx context.Context, v *View, call *rpc.Call) (json.RawMessage, error) {
	l, ok := listOf(call.Method.Name)
	if !ok {
		return nil, rpc.Errorf(rpc.MethodNotFound, "method %s lists nothing", rpc.Excerpt(call.Method.Name))
	}
	t := c.table(ctx, v, l, call.Client, true)
	known := slices.IndexFunc(t.failures, func(why error) bool { return why != nil })
	if members := c.members(v); len(members) > 0 && len(t.absent) == len(members) && known >= 0 {
		return nil, down(t.absent[known], t.failures[known])
	}
	if v.Single && l != toolList && len(t.offering) == 0 {
		return nil, rpc.Errorf(rpc.MethodNotFound, "method %s is not available on %s", l.traits().method, v.Endpoint)
	}
	t = v.shownTo(call, t)
	from, err := c.offset(t, call)
	if err != nil {
		return nil, err
	}
	to, size := from, 0
	for to < len(t.entries) && to-from < pageEntries && size < pageBytes {
		size += len(t.entries[to].text)
		to++
	}
	next := ""
	if to < len(t.entries) {
		next = c.keys.Seal(purposeCursor, bound(call), cursor(t, to))
	}
	return t.page(l, from, to, size, next, call.Client.Era), nil
}

// shownTo returns the list as one caller sees it. Where callers see different things,
// nobody may keep a list for others (MCP 2026-07-28, Caching).
func (v *View) shownTo(call *rpc.Call, t *Table) *Table {
	if v.Sees == nil {
		return t
	}
	own := *t
	own.public = false
	own.entries = slices.DeleteFunc(slices.Clone(t.entries), func(e entry) bool { return !v.Sees(call, e.target) })
	return &own
}

// page writes one page as the result of a list (MCP 2026-07-28, Caching: all pages
// of a list share one scope).
func (t *Table) page(l list, from, to, size int, next string, era rpc.Era) json.RawMessage {
	out := append(make([]byte, 0, size+(to-from)+256), `{"`+l.traits().member+`":[`...)
	for i, e := range t.entries[from:to] {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, e.text...)
	}
	out = append(out, ']')
	if next != "" {
		out = rpc.AppendString(append(out, `,"nextCursor":`...), next)
	}
	if era == rpc.Modern {
		out = append(out, `,"resultType":"complete","ttlMs":`...)
		out = rpc.AppendInt(out, t.ttl.Milliseconds())
		out = append(append(out, `,"cacheScope":"`...), t.scope()...)
		out = append(out, '"')
	}
	return append(out, '}')
}

func (t *Table) scope() string {
	if t.public {
		return "public"
	}
	return "private"
}

// digest identifies the list a cursor belongs to: offsets in another list would
// repeat entries or leave them out.
func (t *Table) digest() []byte {
	h := sha256.New()
	for _, e := range t.entries {
		h.Write(e.text)
	}
	return h.Sum(nil)[:16]
}

// cursor is the plain text of a cursor: list, offset, when it ends.
func cursor(t *Table, offset int) []byte {
	out := binary.BigEndian.AppendUint32(t.digest(), uint32(offset))
	return binary.BigEndian.AppendUint64(out, uint64(time.Now().Add(cursorLife).Unix()))
}

var errCursor = errors.New("cursor is invalid, expired, or of a list that has changed since; list again without one")

// offset reads the cursor of a call, 0 if it has none. An empty string is a cursor
// like any other, and not one of ours.
func (c *Catalog) offset(t *Table, call *rpc.Call) (int, error) {
	text, ok := call.Message.Get("cursor")
	if !ok || string(text) == "null" {
		return 0, nil
	}
	refused := rpc.Errorf(rpc.InvalidParams, "%w", errCursor)
	handle, ok := call.Message.Text("cursor")
	if !ok {
		return 0, refused
	}
	plain, err := c.keys.Open(purposeCursor, bound(call), handle)
	if err != nil || len(plain) != 28 || string(plain[:16]) != string(t.digest()) {
		return 0, refused
	}
	offset := int(binary.BigEndian.Uint32(plain[16:]))
	ends := time.Unix(int64(binary.BigEndian.Uint64(plain[20:])), 0)
	if time.Now().After(ends) || offset > len(t.entries) {
		return 0, refused
	}
	return offset, nil
}

// bound is what a cursor is sealed to, so that nobody can use another's.
func bound(call *rpc.Call) []byte {
	p := call.Principal
	text, err := json.Marshal([]string{p.Org, p.Team, p.Key, p.User, call.Endpoint, call.Method.Name})
	if err != nil {
		return nil
	}
	return text
}
