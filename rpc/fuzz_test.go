package rpc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/headgate/headgate/rpc"
)

// seeds are messages of every kind, and texts that are nearly one.
var seeds = []string{
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"a":1,"b":[2,{"c":null}]},"_meta":{"progressToken":"t"}}}`,
	`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
	`{"jsonrpc":"2.0","id":"\u00e9","result":{"content":[{"type":"text","text":"hi"}],"_meta":{}}}`,
	`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"\ud83d\ude00","data":1e400}}`,
	" \t\r\n{ \"method\" : \"m\" , \"jsonrpc\" : \"2.0\" , \"id\" : -0 , \"params\" : null } ",
	`{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}`, `{"jsonrpc":"2.0","id":1,"\u0069d":2,"method":"m"}`,
	`{"jsonrpc":"2.0","Method":"m"}`, `{"jsonrpc":"2.0","method":"m","params":{"u\u0052i":"x"}}`, `{"jſonrpc":"2.0","method":"m"}`,
	`{"jsonrpc":"2.0","method":"\ud800"}`, `{"jsonrpc":"2.0","method":"m","params":{"name":"\ud800","uri":1}}`,
	`{"jsonrpc":"2.0","method":"m"} {}`, `[{"jsonrpc":"2.0","method":"m"}]`, "\ufeff{}", "{\"a\":\"\xff\"}", "{\"a\":\"\x00\"}", `{"a":01}`, `{"a":1,}`,
	`{"a":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`, ``, `{`, `{"`, `{"\`, `{"\u`, `{"a":-`, `{"a":1e`,
}

// FuzzParse holds what is accepted to what encoding/json makes of the same bytes.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := rpc.Parse(data, rpc.Limits{})
		if m == nil {
			t.Fatal("no message")
		}
		if err != nil {
			checkRefusedJSON(t, data, err)
			return
		}
		if out := m.AppendTo(nil); !bytes.Equal(out, data) {
			t.Fatalf("written as %q", out)
		}
		checkAgainstStandard(t, data, m)
		if c := m.Clone(); c.ID != m.ID || c.Method != m.Method || !bytes.Equal(c.Params, m.Params) || !bytes.Equal(c.Result, m.Result) {
			t.Fatalf("cloned as %q", c.AppendTo(nil))
		}
	})
}

// checkRefusedJSON allows ParseError for valid JSON only where the codec is stricter.
func checkRefusedJSON(t *testing.T, data []byte, err error) {
	t.Helper()
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok || e.Code != rpc.ParseError && e.Code != rpc.InvalidRequest {
		t.Fatalf("refused with %v", err)
	}
	if s, ok := errors.AsType[*rpc.SyntaxError](err); ok && (s.Offset < 0 || s.Offset > len(data)) {
		t.Fatalf("refused at byte %d of %d", s.Offset, len(data))
	}
	if e.Code != rpc.ParseError || !json.Valid(data) || !utf8.Valid(data) {
		return
	}
	for _, stricter := range []string{"expected an object", "nested too deep", "too many members"} {
		if strings.Contains(e.Message, stricter) {
			return
		}
	}
	t.Fatalf("encoding/json takes this for JSON, refused with %v", err)
}

// standard is the message as encoding/json reads it: it takes names of any case, and
// the last of duplicates.
type standard struct {
	ID     json.RawMessage `json:"id"`
	Method *string         `json:"method"`
	Params struct {
		Name      json.RawMessage `json:"name"`
		URI       json.RawMessage `json:"uri"`
		Arguments json.RawMessage `json:"arguments"`
		Meta      json.RawMessage `json:"_meta"`
	} `json:"params"`
}

func checkAgainstStandard(t *testing.T, data []byte, m *rpc.Message) {
	t.Helper()
	if !json.Valid(data) {
		t.Fatal("accepted what is no JSON")
	}
	if m.Method == "" {
		return // a result's members are its reader's business
	}
	var s standard
	if err := json.Unmarshal(data, &s); err != nil {
		t.Fatalf("encoding/json: %v", err)
	}
	if string(s.ID) != m.ID.Raw() || s.Method == nil || *s.Method != m.Method {
		t.Fatalf("id %q and method %q, encoding/json reads %q and %v", m.ID.Raw(), m.Method, s.ID, s.Method)
	}
	for name, want := range map[string]json.RawMessage{
		"name": s.Params.Name, "uri": s.Params.URI, "arguments": s.Params.Arguments, "_meta": s.Params.Meta,
	} {
		got, ok := m.Get(name)
		if !bytes.Equal(got, want) || ok != (want != nil) {
			t.Fatalf("params.%s is %q, encoding/json reads %q", name, got, want)
		}
		var decoded string
		if text, ok := m.Text(name); ok && (json.Unmarshal(want, &decoded) != nil || decoded != text) {
			t.Fatalf("params.%s says %q, encoding/json reads %q", name, text, decoded)
		}
	}
}

// FuzzEdits makes edits that the script picks, and compares with the reference.
func FuzzEdits(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), []byte("\x00\x01\x02"))
		f.Add([]byte(s), []byte("\x21\x43\x65\x87\xa9\xcb\xed\x0f"))
	}
	f.Fuzz(func(t *testing.T, data, script []byte) {
		if len(data) > 4096 || len(script) > 16 {
			return // the reference takes long, and new members could be one too many
		}
		m, err := rpc.Parse(data, rpc.Limits{})
		if err != nil {
			return
		}
		checkAgainstReference(t, data, scripted(script, m))
	})
}

// scripted makes an operation of each byte.
func scripted(script []byte, m *rpc.Message) []operation {
	kinds := []string{"id", "set", "drop", "setMeta", "dropMeta"}
	names := []string{"name", "_meta", "a", "é\"", "progressToken", ""}
	for _, text := range [][]byte{m.Params, m.Result} { // what is there is worth editing
		if members, ok := ordered(text); ok && len(members) > 0 {
			names = append(names, members[0].name, members[len(members)-1].name)
		}
	}
	var out []operation
	for i, b := range script {
		o := operation{kind: kinds[int(b)%len(kinds)], name: names[(int(b)/len(kinds)+i)%len(names)]}
		switch o.kind {
		case "id":
			o.name, o.value = "", []string{"1", `"g"`}[i%2]
		case "set", "setMeta":
			o.value = values[(int(b)/7+i)%len(values)]
		}
		out = append(out, o)
	}
	return out
}

// FuzzUnquote compares with encoding/json wherever the text is a string of JSON.
func FuzzUnquote(f *testing.F) {
	for _, s := range []string{`""`, `"a"`, `"\u0041"`, `"\ud83d\ude00"`, `"\ud800"`, `"\udc00"`, `"\ud800\u0041"`, `"\/\b\f\n\r\t\"\\"`, `"`, `"\"`, `"\u12"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := rpc.Unquote(text)
		var want string
		if !utf8.Valid(text) || !bytes.HasPrefix(text, []byte{'"'}) || !bytes.HasSuffix(text, []byte{'"'}) || json.Unmarshal(text, &want) != nil {
			return
		}
		// Half a surrogate pair becomes U+FFFD there and is refused here.
		if err != nil {
			if !strings.Contains(want, "\ufffd") {
				t.Fatalf("refused with %v what is %q", err, want)
			}
			return
		}
		if got != want {
			t.Fatalf("%q, encoding/json reads %q", got, want)
		}
		if again, err := rpc.Unquote(rpc.AppendString(nil, got)); err != nil || again != got {
			t.Fatalf("%q comes back as %q, %v", got, again, err)
		}
	})
}

// FuzzTakeApart looks for panics in what reads texts that were parsed before.
func FuzzTakeApart(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Add([]byte(`[1, {"a":[]} ,"x"]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if id, err := rpc.ParseID(text); err == nil && (!json.Valid(text) || !strings.Contains(string(text), id.Raw())) {
			t.Fatalf("an id %q of no JSON", id.Raw())
		}
		if list, err := rpc.Elements(text); err == nil && json.Valid(text) {
			var want []json.RawMessage
			if err := json.Unmarshal(text, &want); err != nil || len(want) != len(list) {
				t.Fatalf("%d elements, encoding/json finds %d, %v", len(list), len(want), err)
			}
		}
		o, err := rpc.ReadObject(text)
		if err != nil || !json.Valid(text) || !utf8.Valid(text) {
			return
		}
		want, _ := ordered(text)
		if o.Len() != len(want) {
			t.Fatalf("%d members, encoding/json finds %d", o.Len(), len(want))
		}
		for _, p := range want {
			if v, ok := o.Get(p.name); !ok || !bytes.Equal(v, p.value) {
				t.Fatalf("member %q is %q, want %q", p.name, v, p.value)
			}
			if left, err := rpc.ReadObject(o.Without(p.name)); err != nil || left.Len() != o.Len()-1 {
				t.Fatalf("without %q: %q", p.name, o.Without(p.name))
			}
			if more, err := rpc.ReadObject(o.With(p.name, []byte("[7]"))); err != nil || more.Len() != o.Len() {
				t.Fatalf("with another %q: %q", p.name, o.With(p.name, []byte("[7]")))
			}
		}
	})
}
