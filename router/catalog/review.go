package catalog

import (
	"context"
	"encoding/json"

	"github.com/headgate/headgate/rpc"
)

// Listing is what an upstream listed of a kind, for whoever compares it with what was approved.
type Listing struct {
	Server   string // what it calls itself
	Kind     string // the member of the result: "tools" or "prompts"; "instructions" for these
	Audience Audience
	Whole    bool // nothing was cut off
	Names    []string
	Texts    []json.RawMessage // the entries as the server wrote them, by the index of their names
}

// Reviewer returns why entries of a listing must be neither shown nor called, by name. What it does not
// name is delivered.
type Reviewer func(ctx context.Context, l Listing) (withheld map[string]string)

// kindInstructions is what instructions are called in a review, as the kind and as the name.
const kindInstructions = "instructions"

// reviewed reports whether the entries of a list are reviewed: what models read. Resources are data, which changes.
func (l list) reviewed() bool { return l == toolList || l == promptList }

// review has the entries reviewed, and keeps of those that are withheld only what they are called.
func (d *drainer) review(ctx context.Context, desc Description) {
	if d.source.Review == nil || !d.list.reviewed() {
		return
	}
	names := make([]string, len(d.items))
	for i := range d.items {
		names[i] = d.items[i].own
	}
	withheld := d.source.Review(ctx, Listing{
		Server: desc.Server, Kind: d.member, Audience: AudienceOf(d.client), Whole: !d.cut, Names: names, Texts: d.texts,
	})
	for i := range d.items {
		if why, ok := withheld[d.items[i].own]; ok {
			d.items[i].withheld, d.items[i].text = why, nil
		}
	}
}

// trusted returns a description without instructions that are withheld.
func (s *Source) trusted(ctx context.Context, d Description) *Description {
	if s.Review == nil || d.Instructions == "" {
		return &d
	}
	withheld := s.Review(ctx, Listing{
		Server: d.Server, Kind: kindInstructions, Audience: Anybody, Whole: true, Names: []string{kindInstructions},
		Texts: []json.RawMessage{rpc.AppendString(nil, d.Instructions)},
	})
	if len(withheld) > 0 {
		d.Instructions = ""
	}
	return &d
}

// refuse is the error for a call of what is withheld.
func (f found) refuse(l list) *rpc.Error {
	e := rpc.Errorf(rpc.Forbidden, "%s %s of upstream %q %s; its operator can look with headgate pins diff",
		l.traits().noun, rpc.Excerpt(f.own), f.upstream, f.withheld)
	e.Upstream = f.upstream
	return e
}
