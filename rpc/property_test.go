package rpc_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/headgate/headgate/rpc"
)

// Names that edits meet, in an object of each layer. They are few, so that edits
// often hit what is there.
var (
	bodyNames = []string{"name", "uri", "cursor", "arguments", "x", "y", "Z", "é\"\\", ""}
	metaNames = []string{"progressToken", "", "io.modelcontextprotocol/protocolVersion", "a", "b", "traceparent"}
)

// values as they stand in messages; the space in them must survive.
var values = []string{
	`1`, `-0`, `1.0`, `1e400`, `9007199254740993`, `"s"`, `"\u00e9\ud83d\ude00\/"`, `"a,b}"`, `null`, `true`, `{ }`, `[ ]`,
	`{ "a" : [ 1 , { "b":null } ] , "name":"inner", "_meta":{ } }`, `[[],"]",{"}":"{"}]`, `["\ud800"]`,
}

func space(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", "", " ", "\n", "\t \r\n"}).Draw(t, "space")
}

// spaced writes an object of the members with random space between everything.
func spaced(t *rapid.T, members []pair) string {
	var b strings.Builder
	b.WriteString("{" + space(t))
	for i, p := range members {
		if i > 0 {
			b.WriteString("," + space(t))
		}
		name := string(rpc.AppendString(nil, p.name))
		if p.name != "" && rapid.IntRange(0, 9).Draw(t, "escape") == 0 && p.name[0] < 0x80 && p.name[0] > 0x20 {
			name = `"\u00` + hex(p.name[0]) + name[2:]
		}
		b.WriteString(name + space(t) + ":" + space(t) + string(p.value) + space(t))
	}
	return b.String() + "}"
}

func hex(c byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[c>>4], digits[c&15]})
}

// members draws an object's members: some of the names, in random order.
func members(t *rapid.T, names []string, more ...pair) []pair {
	out := append([]pair(nil), more...)
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 4, rapid.ID).Draw(t, "names") {
		out = append(out, pair{name, json.RawMessage(rapid.SampledFrom(values).Draw(t, "value"))})
	}
	return rapid.Permutation(out).Draw(t, "order")
}

func body(t *rapid.T) string {
	var more []pair
	switch rapid.IntRange(0, 3).Draw(t, "meta") {
	case 0:
		more = []pair{{"_meta", json.RawMessage(rapid.SampledFrom([]string{"null", "7", "{}", "[{}]"}).Draw(t, "odd meta"))}}
	case 1, 2:
		more = []pair{{"_meta", json.RawMessage(spaced(t, members(t, metaNames)))}}
	}
	return spaced(t, members(t, bodyNames, more...))
}

// message draws a request, a notification, a result or an error.
func message(t *rapid.T) string {
	envelope := []pair{{"jsonrpc", json.RawMessage(`"2.0"`)}}
	add := func(name, value string) { envelope = append(envelope, pair{name, json.RawMessage(value)}) }
	kind := rapid.SampledFrom([]string{"request", "request", "notification", "result", "error"}).Draw(t, "kind")
	if kind != "notification" {
		add("id", rapid.SampledFrom([]string{`1`, `"1"`, `1.0`, `"\u00e9"`, `9007199254740993`}).Draw(t, "id"))
	}
	switch kind {
	case "result":
		add("result", body(t))
	case "error":
		add("error", `{ "code" : -32603 , "message" : "m", "data" : [ ] }`)
	default:
		add("method", `"tools\/call"`)
		switch rapid.IntRange(0, 4).Draw(t, "params") {
		case 0:
		case 1:
			add("params", "null")
		default:
			add("params", body(t))
		}
	}
	if rapid.Bool().Draw(t, "unknown member") {
		add("x-unknown", rapid.SampledFrom(values).Draw(t, "unknown"))
	}
	return space(t) + spaced(t, rapid.Permutation(envelope).Draw(t, "envelope")) + space(t)
}

func operations(t *rapid.T) []operation {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) operation {
		o := operation{kind: rapid.SampledFrom([]string{"id", "set", "set", "drop", "drop", "setMeta", "setMeta", "dropMeta"}).Draw(t, "kind")}
		switch o.kind {
		case "id":
			o.value = rapid.SampledFrom([]string{`7`, `"g1"`, `1.0`}).Draw(t, "new id")
			return o
		case "set", "drop":
			o.name = rapid.SampledFrom(append([]string{"_meta"}, bodyNames...)).Draw(t, "name")
		default:
			o.name = rapid.SampledFrom(metaNames).Draw(t, "name")
		}
		if strings.HasPrefix(o.kind, "set") {
			o.value = rapid.SampledFrom(values).Draw(t, "new value")
		}
		return o
	}), 0, 7).Draw(t, "operations")
}

func TestEditsAgreeWithTheReference(t *testing.T) {
	t.Parallel()
	for range 50 { // of 100 checks each
		rapid.Check(t, func(t *rapid.T) {
			text := []byte(message(t))
			checkAgainstReference(t, text, operations(t))
		})
	}
}

// failer is what tests, fuzz targets and properties have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkAgainstReference makes the edits in both ways. Where nothing was changed in
// an object, its bytes must be the received ones; elsewhere its members must be the
// reference's, byte for byte and in its order.
func checkAgainstReference(t failer, text []byte, operations []operation) {
	t.Helper()
	m, err := rpc.Parse(text, rpc.Limits{})
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	received := bytes.Clone(text)
	f := m.Fork()
	for _, o := range operations {
		o.apply(f)
	}
	out := f.AppendTo(nil)
	fail := func(what, diff string) {
		t.Helper()
		t.Fatalf("%s\nreceived %s\nedits    %v\nwritten  %s\n%s", what, text, operations, out, diff)
	}
	switch again, err := rpc.Parse(out, rpc.Limits{Depth: rpc.MaxDepth}); {
	case err != nil:
		fail("what was written is not accepted: "+err.Error(), "")
	case again.Method != m.Method:
		fail("another method was written", "")
	case len(out) > f.Size():
		fail("Size promised less", "")
	case !bytes.Equal(m.AppendTo(nil), received):
		fail("the original was changed", "")
	}
	got, _ := ordered(out)
	want, rewritten := reference(text, m, operations)
	if diff := cmp.Diff(flatten(want, rewritten), flatten(got, rewritten)); diff != "" {
		fail("members differ (-reference +written):", diff)
	}
}

// flatten lists members by path and value. Of objects that were rewritten it lists the
// members one by one, because space between them may come and go with them.
func flatten(envelope []pair, rewritten map[string]bool) [][2]string {
	var out [][2]string
	var walk func(path string, members []pair)
	walk = func(path string, members []pair) {
		for _, p := range members {
			to := path + "/" + p.name
			if !rewritten[to] {
				out = append(out, [2]string{to, string(p.value)})
				continue
			}
			out = append(out, [2]string{to, "{"})
			inner, _ := ordered(p.value)
			walk(to, inner)
		}
	}
	walk("", envelope)
	return out
}
