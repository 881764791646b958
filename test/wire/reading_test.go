package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/dpb587/inspectjson-go/inspectjson"

	"github.com/headgate/headgate/rpc"
)

// value is what a reader makes of one member: its type and, for strings and numbers,
// the decoded text or the source text.
type value struct{ kind, text string }

// reading is what a reader finds in a message.
type reading struct{ method, id, name, uri value }

// ofText returns the value that is written as text.
func ofText(text []byte) (value, error) {
	if len(text) == 0 {
		return value{kind: "absent"}, nil
	}
	switch c := text[0]; c {
	case '"':
		var s string
		err := json.Unmarshal(text, &s)
		return value{"string", s}, err
	case '{':
		return value{kind: "object"}, nil
	case '[':
		return value{kind: "array"}, nil
	case 'n':
		return value{kind: "null"}, nil
	case 't', 'f':
		return value{"boolean", string(text)}, nil
	default:
		return value{"number", string(text)}, nil
	}
}

// byCodec is what the gateway reads. It routes by calls, so of a response only the id
// counts.
func byCodec(m *rpc.Message) (reading, error) {
	r := reading{method: value{kind: "absent"}, name: value{kind: "absent"}, uri: value{kind: "absent"}}
	var err error
	if r.id, err = ofText([]byte(m.ID.Raw())); err != nil || m.Method == "" {
		return r, err
	}
	r.method = value{"string", m.Method}
	for field, into := range map[string]*value{"name": &r.name, "uri": &r.uri} {
		text, _ := m.Get(field)
		if len(text) > 0 && text[0] == '"' {
			s, ok := m.Text(field)
			if !ok {
				return r, fmt.Errorf("the string params.%s was accepted, but cannot be decoded", field)
			}
			*into = value{"string", s}
			continue
		}
		if *into, err = ofText(text); err != nil {
			return r, err
		}
	}
	return r, nil
}

// byStandard is what encoding/json reads into a struct, which is how Go programs do.
func byStandard(body []byte) (reading, error) {
	var m struct {
		Method json.RawMessage `json:"method"`
		ID     json.RawMessage `json:"id"`
		Params struct {
			Name json.RawMessage `json:"name"`
			URI  json.RawMessage `json:"uri"`
		} `json:"params"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return reading{}, err
	}
	var r reading
	var errs [4]error
	r.method, errs[0] = ofText(m.Method)
	r.id, errs[1] = ofText(m.ID)
	r.name, errs[2] = ofText(m.Params.Name)
	r.uri, errs[3] = ofText(m.Params.URI)
	return r, errors.Join(errs[:]...)
}

// byTokens is what a program makes of the tokens of a parser by another author: the
// last of equal names wins.
func byTokens(body []byte) (reading, error) {
	absent := value{kind: "absent"}
	r := reading{absent, absent, absent, absent}
	tokens := inspectjson.NewTokenizer(bytes.NewReader(body))
	var path []string // names of the open containers; "[" is an array
	var name string   // of the value that comes next
	named := false    // whether a name was read
	for {
		token, err := tokens.Next()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
		inObject := len(path) > 0 && path[len(path)-1] != "["
		if s, ok := token.(inspectjson.StringToken); ok && inObject && !named {
			name, named = s.Content, true
			continue
		}
		v, opens := ofToken(token)
		switch token.(type) {
		case inspectjson.EndArrayToken, inspectjson.EndObjectToken:
			path = path[:len(path)-1]
		}
		if v.kind == "" {
			continue
		}
		if inObject && named {
			r.keep(path, name, v)
		}
		if opens != "" {
			if opens == "{" {
				opens = "{" + name
			}
			path = append(path, opens)
		}
		named = false
	}
}

// keep stores a value that stands at one of the places that are looked at.
func (r *reading) keep(path []string, name string, v value) {
	switch at := len(path); {
	case at == 1 && name == "method":
		r.method = v
	case at == 1 && name == "id":
		r.id = v
	case at == 2 && path[1] == "{params" && name == "name":
		r.name = v
	case at == 2 && path[1] == "{params" && name == "uri":
		r.uri = v
	}
}

// ofToken returns the value that a token begins, and the bracket if it opens one.
func ofToken(token inspectjson.Token) (v value, opens string) {
	switch t := token.(type) {
	case inspectjson.StringToken:
		return value{"string", t.Content}, ""
	case inspectjson.NumberToken:
		return value{"number", t.Content}, ""
	case inspectjson.TrueToken:
		return value{"boolean", "true"}, ""
	case inspectjson.FalseToken:
		return value{"boolean", "false"}, ""
	case inspectjson.NullToken:
		return value{kind: "null"}, ""
	case inspectjson.BeginArrayToken:
		return value{kind: "array"}, "["
	case inspectjson.BeginObjectToken:
		return value{kind: "object"}, "{"
	}
	return value{}, ""
}

// rounded replaces the source text of numbers by the bits of what JavaScript, which
// knows nothing else, makes of them.
func (r reading) rounded() reading {
	for _, v := range []*value{&r.method, &r.id, &r.name, &r.uri} {
		if v.kind == "number" {
			f, _ := strconv.ParseFloat(v.text, 64) // too large a number is infinite there too
			v.text = strconv.FormatUint(math.Float64bits(f), 16)
		}
	}
	return r
}

// agrees compares two readings of a message. In a response only the id counts, and
// there null is none.
func (r reading) agrees(other reading) bool {
	if r.method.kind == "absent" && other.method.kind == "absent" {
		if other.id.kind == "null" {
			other.id.kind = "absent"
		}
		return r.id == other.id
	}
	return r == other
}
