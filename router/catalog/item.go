package catalog

import (
	"encoding/json"
	"fmt"

	"github.com/headgate/headgate/rpc"
)

// item is one entry of an upstream's list.
type item struct {
	own       string // its name, URI or URI template
	canonical string
	text      json.RawMessage // as listed, but for what no client could read
	withheld  string          // why nobody is shown it or may call it; empty if they are

	hints   hints             // of a tool
	task    bool              // of a tool: it runs as a task only
	headers []rpc.ParamHeader // of a tool
	pattern *pattern          // of a template; nil if nothing can be matched with it
}

// readItem reads an entry of a list. A strict reader refuses what clients must refuse.
func readItem(l list, upstream string, text json.RawMessage, strict bool) (item, error) {
	text = edit(text, safeIcons)
	if l == toolList {
		return readTool(upstream, text, strict)
	}
	own, err := keyOf(l, text)
	if err != nil {
		return item{}, err
	}
	i := item{own: own, canonical: Canonical(upstream, own), text: text}
	if l.byURI() {
		i.canonical = qualify(upstream, own)
	}
	if l == templateList {
		i.pattern = compile(own)
	}
	return i, nil
}

// keyOf reads what an entry is called.
func keyOf(l list, text json.RawMessage) (string, error) {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return "", err
	}
	own, ok := o.Text(l.traits().key)
	if !ok || own == "" {
		return "", fmt.Errorf("%s without %s", l.traits().noun, l.traits().key)
	}
	return own, nil
}

// shown returns the entry as a client of an era may see it, under a name.
func (i *item) shown(l list, name string, era rpc.Era) json.RawMessage {
	text := i.text
	if name != i.own {
		text = edit(text, func(o rpc.Object) json.RawMessage {
			return o.With(l.traits().key, rpc.AppendString(nil, name))
		})
	}
	if l == toolList {
		return toolFor(era, text)
	}
	return text
}

func edit(text json.RawMessage, change func(rpc.Object) json.RawMessage) json.RawMessage {
	o, err := rpc.ReadObject(text)
	if err != nil {
		return text
	}
	if changed := change(o); changed != nil {
		return changed
	}
	return text
}
