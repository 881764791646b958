package catalog

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Bounds of instructions in bytes: they fill the model's context and are written by
// strangers.
const (
	maxInstructions    = 4 << 10
	maxAllInstructions = 16 << 10
)

// describeTimeout bounds how long an initialize or a discover waits for upstreams
// that have not said yet who they are. It must not wait for the slowest.
const describeTimeout = 2 * time.Second

// Summary is what an endpoint says of the upstreams behind it.
type Summary struct {
	Instructions string
	Capabilities []json.RawMessage // of each upstream; nil for one that has not said
}

// Summarize asks the upstreams of a view who they are, all at once and for a
// bounded time, and leaves out those that do not say.
func (c *Catalog) Summarize(ctx context.Context, v *View) Summary {
	set, names := c.setOf(v), c.members(v)
	said := set.describe(ctx, names)
	s := Summary{Capabilities: make([]json.RawMessage, len(said))}
	for i, d := range said {
		if d != nil {
			s.Capabilities[i] = d.Capabilities
		}
	}
	if v.Single {
		if said[0] != nil {
			s.Instructions = cut(said[0].Instructions, maxAllInstructions)
		}
		return s
	}
	var text strings.Builder
	for i, name := range names {
		if said[i] == nil || said[i].Instructions == "" || text.Len() >= maxAllInstructions {
			continue
		}
		if text.Len() > 0 {
			text.WriteString("\n\n")
		}
		text.WriteString("# " + name)
		if v.Prefix == Always {
			text.WriteString(" (tools " + name + separator + "…)")
		}
		text.WriteString("\n" + cut(below(said[i].Instructions), maxInstructions))
	}
	s.Instructions = cut(text.String(), maxAllInstructions)
	return s
}

// below returns text with its headings one level down, so that none stands for what
// another upstream says.
func below(text string) string {
	return strings.NewReplacer("\n#", "\n##", "\r#", "\r##").Replace("\n" + text)[1:]
}

// Declares reports whether an upstream declares a capability, or does not say what it
// has. It may do I/O.
func (c *Catalog) Declares(ctx context.Context, upstream, capability string) bool {
	feeds := c.feeds(upstream)
	if feeds == nil {
		return false
	}
	d, err := feeds[toolList].source.Describe(ctx)
	return err != nil || offers(d.Capabilities, capability)
}

// describe returns what each upstream says of itself, nil for those that do not
// answer in time.
func (s *Set) describe(ctx context.Context, names []string) []*Description {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	out := make([]*Description, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() {
			src := &s.feeds[name][toolList].source
			if d, err := src.Describe(ctx); err == nil {
				out[i] = src.trusted(ctx, d)
			}
		})
	}
	all.Wait()
	return out
}

// cut shortens text to a number of bytes at a character boundary.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "…"
}
