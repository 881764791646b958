package catalog

import (
	"encoding/json"
	"strings"

	"github.com/headgate/headgate/rpc"
)

// safeIcons returns an entry without the icons that its client must not fetch (MCP 2025-11-25, Icons: consumers
// take HTTPS and data only, and distrust other origins than the server's). Those of a server behind the gateway
// are of another origin for every client, so what is relative or has another scheme leads nowhere. The gateway does
// not fetch them itself: a server could have it call whom it likes.
func safeIcons(o rpc.Object) json.RawMessage {
	text, ok := o.Get("icons")
	if !ok {
		return nil
	}
	icons, err := rpc.Elements(text)
	if err != nil {
		return o.Without("icons")
	}
	var kept []json.RawMessage
	for _, icon := range icons {
		if isSafeIcon(icon) {
			kept = append(kept, icon)
		}
	}
	switch {
	case len(kept) == len(icons):
		return nil
	case len(kept) == 0:
		return o.Without("icons")
	}
	list, err := joined('[', ']', len(kept), func(dst []byte, i int) ([]byte, error) { return append(dst, kept[i]...), nil })
	if err != nil {
		return nil
	}
	return o.With("icons", list)
}

func isSafeIcon(icon json.RawMessage) bool {
	o, err := rpc.ReadObject(icon)
	if err != nil {
		return false
	}
	src, _ := o.Text("src")
	for _, start := range []string{"https://", "data:"} {
		if len(src) > len(start) && strings.EqualFold(src[:len(start)], start) {
			return true
		}
	}
	return false
}
