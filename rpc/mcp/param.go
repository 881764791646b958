package mcp

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/headgate/headgate/rpc"
)

// ErrMirrors is the cause of an error by which a server refused a request that it did
// not run: the headers beside it are not those that it wants (SEP-2243).
var ErrMirrors = errors.New("headers do not mirror the request as the server wants")

// CheckParams compares the Mcp-Param headers of a tools/call with its arguments.
// Headers no annotation asks for are not looked at.
func CheckParams(h http.Header, m *rpc.Message, params []rpc.ParamHeader) error {
	return eachArgument(m, params, func(name string, arg json.RawMessage) error {
		want, mirrored := primitive(arg)
		got := h[name]
		switch {
		case arg == nil && len(got) == 0:
			return nil
		case arg == nil:
			return mismatch(name, "stands for an argument that is absent or null")
		case len(got) != 1:
			return mismatch(name, "is missing or repeated")
		case !mirrored:
			return mismatch(name, "stands for an argument that is no string, integer or boolean")
		}
		if text, ok := DecodeHeader(got[0]); !ok || !sameValue(text, want, arg) {
			return mismatch(name, "is "+rpc.Excerpt(got[0])+" but the body says "+rpc.Excerpt(want))
		}
		return nil
	})
}

// EachParam calls add with the name and the encoded value of each Mcp-Param header
// that a tools/call needs.
func EachParam(m *rpc.Message, params []rpc.ParamHeader, add func(name, value string)) error {
	return eachArgument(m, params, func(name string, arg json.RawMessage) error {
		if value, ok := primitive(arg); ok {
			add(name, EncodeHeader(value))
		}
		return nil
	})
}

// eachArgument calls visit with the argument behind each header; nil for one that is
// absent or null.
func eachArgument(m *rpc.Message, params []rpc.ParamHeader, visit func(name string, arg json.RawMessage) error) error {
	if len(params) == 0 {
		return nil
	}
	arguments, _ := m.Get("arguments")
	root, err := readArguments(arguments)
	if err != nil {
		return err
	}
	for _, p := range params {
		arg, err := argument(root, p.Path)
		if err != nil {
			return err
		}
		if err := visit(p.Name, arg); err != nil {
			return err
		}
	}
	return nil
}

// readArguments reads an object among the arguments. What is no object has no
// members.
func readArguments(text json.RawMessage) (rpc.Object, error) {
	if len(text) == 0 || text[0] != '{' {
		return rpc.Object{}, nil
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return rpc.Object{}, rpc.Errorf(rpc.InvalidRequest, "params.arguments: %w", err)
	}
	return o, nil
}

// argument returns the text of the argument at path; nil if it is absent or null.
func argument(o rpc.Object, path []string) (json.RawMessage, error) {
	for i, name := range path {
		text, ok := o.Get(name)
		switch {
		case !ok || string(text) == "null":
			return nil, nil
		case i == len(path)-1:
			return text, nil
		}
		var err error
		if o, err = readArguments(text); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// primitive returns the header text of a string, an integer or a boolean.
func primitive(arg json.RawMessage) (string, bool) {
	switch {
	case len(arg) == 0 || arg[0] == '{' || arg[0] == '[':
		return "", false
	case arg[0] == '"':
		s, err := rpc.Unquote(arg)
		return s, err == nil
	case arg[0] == 't' || arg[0] == 'f':
		return string(arg), true
	}
	n, ok := integer(string(arg))
	return strconv.FormatInt(n, 10), ok
}

// sameValue compares a decoded header with an argument: numbers by value.
func sameValue(got, want string, arg json.RawMessage) bool {
	if got == want {
		return true
	}
	if !isNumber(string(arg)) {
		return false
	}
	n, ok := integer(got)
	return ok && strconv.FormatInt(n, 10) == want
}

// integer reads a JSON number that is whole and within what every reader holds
// exactly (SEP-2243).
func integer(s string) (int64, bool) {
	const safe = 1<<53 - 1
	if !isNumber(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > safe {
		return 0, false
	}
	return int64(f), true
}

// isNumber reports whether s is the text of a JSON number. Go's own syntax for
// numbers is wider.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || '0' <= s[0] && s[0] <= '9') && json.Valid([]byte(s))
}
