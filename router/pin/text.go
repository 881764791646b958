package pin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
)

// maxPath bounds how a place within a definition is written.
const maxPath = 128

// eachText calls visit with every string in a JSON text, names of members included, and where it is, such as
// inputSchema.properties.path.description. What visit returns ends the walk if it is false.
func eachText(text []byte, visit func(path, said string) bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	walkText(d, "", visit)
}

// walkText walks one value; false if the walk has ended.
func walkText(d *json.Decoder, path string, visit func(path, said string) bool) bool {
	token, err := d.Token()
	if err != nil {
		return errors.Is(err, io.EOF)
	}
	switch t := token.(type) {
	case string:
		return visit(path, t)
	case json.Delim:
		for i := 0; d.More(); i++ {
			below := within(path, strconv.Itoa(i))
			if t == '{' {
				name, err := d.Token()
				key, isText := name.(string)
				if err != nil || !isText {
					return false
				}
				if below = within(path, key); !visit(below, key) {
					return false
				}
			}
			if !walkText(d, below, visit) {
				return false
			}
		}
		_, err := d.Token() // what closes it
		return err == nil
	}
	return true
}

func within(path, name string) string {
	switch {
	case len(path)+len(name) >= maxPath:
		return path + "…"
	case path == "":
		return name
	}
	return path + "." + name
}
