package rpc

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Decode makes a Go value of the text of one value of a message that was parsed before:
// map[string]any, []any, string, bool, nil, int64 for whole numbers that fit, else
// float64. Objects with duplicate names and strings with half characters are errors,
// since others read them in another way. It is for values of moderate size.
func Decode(text json.RawMessage) (any, error) {
	if len(text) == 0 {
		return nil, &SyntaxError{Reason: "expected a value"}
	}
	switch text[0] {
	case '{':
		return decodeObject(text)
	case '[':
		return decodeArray(text)
	case '"':
		return Unquote(text)
	case 't':
		return true, nil
	case 'f':
		return false, nil
	case 'n':
		return nil, nil //nolint:nilnil // it is the value
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return nil, fmt.Errorf("number %s is out of range", Excerpt(string(text)))
	}
	return f, nil
}

func decodeObject(text json.RawMessage) (any, error) {
	o, err := ReadObject(text)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, o.Len())
	o.Each(func(name string, value json.RawMessage) bool {
		out[name], err = Decode(value)
		return err == nil
	})
	return out, err
}

func decodeArray(text json.RawMessage) (any, error) {
	elements, err := Elements(text)
	if err != nil {
		return nil, err
	}
	out := make([]any, len(elements))
	for i := range elements {
		if out[i], err = Decode(elements[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
