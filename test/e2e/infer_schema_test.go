package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/test/fake/engine"
)

// schemaDrawer draws messages of the dialect by the JSON Schemas of its methods: most are right, and the others are wrong in one
// place or another.
type schemaDrawer struct {
	*rand.Rand
	schemas map[string]map[string]any
}

func newSchemaDrawer(t *testing.T, seed uint64) *schemaDrawer {
	t.Helper()
	d := &schemaDrawer{rand.New(rand.NewPCG(seed, 6)), map[string]map[string]any{}}
	for _, method := range infer.Methods() {
		text, _ := infer.Schema(method)
		var schema map[string]any
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatal(err)
		}
		d.schemas[method] = schema
	}
	return d
}

func (d *schemaDrawer) one(of ...string) string { return of[d.IntN(len(of))] }

func (d *schemaDrawer) odds(n int) bool { return d.IntN(n) == 0 }

// odd is a value that hardly anybody expects.
func (d *schemaDrawer) odd() string {
	return d.one(`null`, `true`, `-1`, `0`, `1e400`, `1.5`, `9007199254740993`, `99999999999999999999`, `""`, `"\ud800"`, `"\u0000"`, `"`+strings.Repeat("x", 3000)+`"`,
		`[]`, `{}`, `[[[[[[[[[[]]]]]]]]]]`, `{"a":{"a":{"a":1}}}`, `{"a":1,"a":2}`, `[null]`, `"../../etc/passwd"`, `"😀"`, strings.Repeat("[", 70)+strings.Repeat("]", 70))
}

// value draws a value of a schema.
func (d *schemaDrawer) value(schema map[string]any, depth int) string {
	if d.odds(12) || depth > 6 {
		return d.odd()
	}
	if all, ok := schema["enum"].([]any); ok {
		text, _ := json.Marshal(all[d.IntN(len(all))])
		return string(text)
	}
	if all, ok := schema["oneOf"].([]any); ok && schema["type"] == nil {
		other, _ := all[d.IntN(len(all))].(map[string]any)
		return d.value(other, depth+1)
	}
	kind, _ := schema["type"].(string)
	if all, ok := schema["type"].([]any); ok {
		kind, _ = all[d.IntN(len(all))].(string)
	}
	switch kind {
	case "string":
		return d.one(`"a"`, `"sim"`, `"1"`, `"info"`, `"wörter"`, `"x\ny"`)
	case "integer":
		return strconv.Itoa(1 + d.IntN(40))
	case "number":
		return strconv.FormatFloat(d.Float64()*2, 'g', -1, 64)
	case "boolean":
		return d.one("true", "false")
	case "array":
		items, _ := schema["items"].(map[string]any)
		var out []string
		for range 1 + d.IntN(3) {
			out = append(out, d.value(items, depth+1))
		}
		return "[" + strings.Join(out, ",") + "]"
	case "object":
		return d.object(schema, depth)
	}
	return "null"
}

// object draws an object: with what has to be there, mostly, and some of the rest, and members of which the schema says nothing.
func (d *schemaDrawer) object(schema map[string]any, depth int) string {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	if all, ok := schema["oneOf"].([]any); ok {
		branch, _ := all[d.IntN(len(all))].(map[string]any)
		more, _ := branch["required"].([]any)
		required = append(slices.Clip(required), more...)
	}
	var out []string
	for _, name := range sortedKeys(properties) {
		must := slices.Contains(required, any(name))
		if must && d.odds(15) || !must && !d.odds(4) {
			continue
		}
		text := d.value(properties[name].(map[string]any), depth+1)
		if name == "model" && !d.odds(6) {
			text = `"sim"`
		}
		out = append(out, strconv.Quote(name)+":"+text)
	}
	for d.odds(4) {
		out = append(out, d.one(`"top_p"`, `"x"`, `"Model"`, `"_meta"`, `"seed"`, `"\u0061"`)+":"+d.odd())
	}
	d.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return "{" + strings.Join(out, ",") + "}"
}

func sortedKeys(of map[string]any) []string {
	out := make([]string, 0, len(of))
	for name := range of {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// message draws a message: that of a method of the table, mostly as it should be.
func (d *schemaDrawer) message(n int) string {
	all := infer.Methods()
	method := all[d.IntN(len(all))]
	params := d.object(d.schemas[method], 0)
	if method == infer.Logs { // what does not end by itself is another test's business
		params = `{"follow":false}`
	}
	parts := []string{fmt.Sprintf(`"id":%d`, n), fmt.Sprintf(`"method":%q`, method), `"params":` + params}
	switch odd := d.IntN(20); {
	case odd == 0:
		parts[0] = `"id":` + d.odd()
	case odd == 1:
		parts = parts[1:]
	case odd == 2:
		parts[1] = `"method":` + d.odd()
	case odd == 3 && method != infer.Logs:
		parts[2] = `"params":` + d.odd()
	case odd == 4:
		parts = append(parts, `"jsonrpc":`+d.one(`"2.0"`, `"1.0"`, `null`))
	case odd == 5:
		parts = append(parts, d.one(`"result":{}`, `"error":{}`, `"done":true`, `"x":1`, `"Method":"ping"`, `"id":1`))
	}
	d.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	text := "{" + strings.Join(parts, ",") + "}"
	switch d.IntN(40) {
	case 0:
		return text[:d.IntN(len(text))]
	case 1:
		return "[" + text + "]"
	case 2:
		if method == infer.Logs {
			return text
		}
		at := d.IntN(len(text))
		return text[:at] + string([]byte{byte(d.IntN(256))}) + text[at+1:]
	}
	return text
}

// excused are the codes of errors for which a client gives cause.
var excused = []int{-32700, -32600, -32601, -32602, -32001, -32002, -32003, -32004, -32009, -32010, -32012}

// suits holds an object of an answer to what the dialect says of them.
func suits(t *testing.T, sent string, p part) {
	t.Helper()
	if e := p.Error; e != nil {
		if id, _ := e.Data["request_id"].(string); !slices.Contains(excused, e.Code) || id == "" || e.Data["reason"] == nil {
			t.Errorf("%s\nis answered with %+v", sent, *e)
		}
	} else if p.Result == nil && !p.Done {
		t.Errorf("%s\nis answered with nothing", sent)
	}
}

func schemaGateway(t *testing.T) *gateway.Gateway {
	t.Helper()
	e := engine.Start(t, engine.Config{})
	return startGateway(t, fmt.Sprintf("models: {sim: {backends: [{kind: openai, url: %q}]}}\n", e.URL+"/v1"))
}

// messagesDrawn is how many messages each of the tests sends.
const messagesDrawn = 1000

func TestInferSchemasOverHTTP(t *testing.T) {
	t.Parallel()
	a, d := askerOf(t, schemaGateway(t)), newSchemaDrawer(t, 1)
	good := 0
	for n := range messagesDrawn {
		sent := d.message(n)
		got := a.send(sent)
		switch {
		case got.status >= 500 || got.status == http.StatusAccepted && len(got.objects) > 0 || got.status != http.StatusAccepted && len(got.objects) == 0:
			t.Fatalf("%s\nis answered with %d %s", sent, got.status, got.text)
		case got.status == http.StatusOK:
			good++
		}
		for _, p := range got.objects {
			suits(t, sent, p)
		}
	}
	if ping := a.send(`{"id":1,"method":"ping"}`); ping.status != http.StatusOK {
		t.Errorf("after all that a ping is %d %s", ping.status, ping.text)
	}
	if good < messagesDrawn/5 {
		t.Errorf("only %d of %d messages were right", good, messagesDrawn)
	}
}

func TestInferSchemasOverASocket(t *testing.T) {
	t.Parallel()
	g, d := schemaGateway(t), newSchemaDrawer(t, 2)
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(endpoint(g, "/rpc"), "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for n := range messagesDrawn {
		sent := strings.ToValidUTF8(d.message(n), "?") // what is no UTF-8 ends the connection (RFC 6455 §8.1)
		probe := fmt.Sprintf(`"probe %d"`, n)
		for _, text := range []string{sent, `{"id":` + probe + `,"method":"ping"}`} {
			if err := conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		for answered := false; !answered; {
			_, text, err := conn.ReadMessage()
			if err != nil {
				t.Fatalf("after %s\nthe connection ends: %v", sent, err)
			}
			var p part
			if err := json.Unmarshal(text, &p); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			suits(t, sent, p)
			answered = string(p.ID) == probe
		}
	}
}
