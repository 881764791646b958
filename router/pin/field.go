package pin

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/headgate/headgate/rpc"
)

// Field is one member in which two definitions differ. Values are JSON texts in which characters that do not show are
// escaped; what only one definition has is empty for the other.
type Field struct {
	Where  string `json:"where"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// compareFields returns the members in which definitions differ, in order.
func compareFields(before, after json.RawMessage) []Field {
	old, now := map[string]string{}, map[string]string{}
	flatten(old, "", before)
	flatten(now, "", after)
	all := maps.Clone(old)
	maps.Copy(all, now)
	var out []Field
	for _, where := range slices.Sorted(maps.Keys(all)) {
		if old[where] != now[where] {
			out = append(out, Field{visible(where), visible(old[where]), visible(now[where])})
		}
	}
	return out
}

// flatten collects the members of a text that hold no others.
func flatten(into map[string]string, path string, text json.RawMessage) {
	if len(text) == 0 {
		return
	}
	o, err := rpc.ReadObject(text)
	if err == nil && o.Len() > 0 {
		o.Each(func(name string, value json.RawMessage) bool {
			flatten(into, member(path, name), value)
			return true
		})
		return
	}
	if elements, err := rpc.Elements(text); err == nil && len(elements) > 0 {
		for i, e := range elements {
			flatten(into, member(path, strconv.Itoa(i)), e)
		}
		return
	}
	into[path] = string(text)
}

// member returns the path of what is within another one.
func member(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func visible(text string) string { return string(appendVisible(nil, []byte(text))) }

// quoted returns a text as JSON; nothing for none.
func quoted(text string) string {
	if text == "" {
		return ""
	}
	return string(rpc.AppendString(nil, text))
}
