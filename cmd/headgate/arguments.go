package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/headgate/headgate/rpc"
)

// argumentsOf makes an object of KEY=VALUE pairs as MCP's inspector does: a value that is JSON is taken as it stands, so that numbers keep
// their digits, and anything else is a string.
func argumentsOf(pairs []string) (json.RawMessage, error) {
	out := []byte{'{'}
	seen := map[string]bool{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok || key == "":
			f := usage("%q is not KEY=VALUE", pair)
			f.Hint = "text with spaces needs quotes: text='two words'"
			return nil, f
		case seen[key]:
			return nil, usage("%s is given twice; several values are a list: %s='[1,2]'", key, key)
		case !utf8.ValidString(pair):
			return nil, usage("%s is not UTF-8", key)
		}
		seen[key] = true
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(rpc.AppendString(out, key), ':')
		if json.Valid([]byte(value)) {
			out = append(out, strings.TrimSpace(value)...)
		} else {
			out = rpc.AppendString(out, value)
		}
	}
	return append(out, '}'), nil
}

// object checks that text is one JSON object and returns it without space around it.
func object(text []byte) (json.RawMessage, error) {
	text = bytes.TrimSpace(text)
	if !utf8.Valid(text) || !json.Valid(text) || text[0] != '{' {
		f := usage("--json needs one JSON object")
		f.Hint = `for example: --json '{"a":2,"b":3}'`
		return nil, f
	}
	return text, nil
}
