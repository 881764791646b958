package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strconv"

	"github.com/headgate/headgate/rpc"
)

// mostRaw is the size of the largest message that is looked into, in bytes.
const mostRaw = 64 << 10

// Raw returns a field that shows a message: its beginning, without the values of members that are named as secrets, whatever
// they are, and without what looks like a secret. Of a message over 64 KiB it shows the size.
func Raw(m *rpc.Message) slog.Attr {
	if m.Size() > mostRaw {
		return slog.String(rawField, "["+strconv.Itoa(m.Size())+" bytes]")
	}
	text, err := withoutSecrets(m.AppendTo(nil))
	if err != nil {
		return slog.String(rawField, "[cannot be read]")
	}
	return slog.String(rawField, clean(text, rawLimit, func(s string) string { return s }))
}

// withoutSecrets replaces the values of members that are named as secrets. What else there is stays as it was, but for
// insignificant space.
func withoutSecrets(text []byte) (string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return "", err
	}
	text = compact.Bytes()
	d := json.NewDecoder(bytes.NewReader(text))
	var out []byte
	var names []bool // of the containers around: whether a name of a member comes next; arrays have none
	var objects []bool
	kept := 0
	for {
		token, err := d.Token()
		if err != nil {
			return string(append(out, text[kept:]...)), nil //nolint:nilerr // the text is valid: this is its end
		}
		delim, isDelim := token.(json.Delim)
		switch {
		case isDelim && (delim == '{' || delim == '['):
			names, objects = append(names, delim == '{'), append(objects, delim == '{')
			continue
		case isDelim:
			names, objects = names[:len(names)-1], objects[:len(objects)-1]
		case len(names) > 0 && names[len(names)-1]:
			names[len(names)-1] = false
			if name, _ := token.(string); namesSecret(name) {
				end := int(d.InputOffset()) + 1 // behind the colon
				var value json.RawMessage
				if err := d.Decode(&value); err != nil {
					return "", err
				}
				out = append(append(out, text[kept:end]...), `"`+redacted+`"`...)
				kept = int(d.InputOffset())
			} else {
				continue
			}
		}
		if n := len(names); n > 0 {
			names[n-1] = objects[n-1]
		}
	}
}
