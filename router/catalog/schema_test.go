package catalog

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
)

// shownSchema returns how the schema of a tool is shown, given the members of its entry.
func shownSchema(t *testing.T, members string, era rpc.Era) string {
	t.Helper()
	c := newCatalog(t, named{"u", &lister{pages: []string{`{"tools":[{"name":"t"` + members + `}]}`}}})
	call := listCall("")
	call.Client.Era = era
	text, err := c.List(t.Context(), merged(Always), call)
	if err != nil {
		t.Fatal(err)
	}
	_, schema, _ := strings.Cut(string(text), `"name":"u__t"`)
	schema, ok := strings.CutPrefix(schema, `,"inputSchema":`)
	if !ok {
		t.Fatalf("no schema in %s", text)
	}
	schema, _, _ = strings.Cut(schema, "}]")
	return schema
}

// Strict clients refuse a whole list for one schema that is not an object's.
func TestCorner5_33_SchemasThatAreNone(t *testing.T) {
	t.Parallel()
	const none = `{"type":"object"}`
	tests := map[string]struct{ members, want string }{
		"missing":         {``, none},
		"null":            {`,"inputSchema":null`, none},
		"a string":        {`,"inputSchema":"object"`, none},
		"a list":          {`,"inputSchema":[]`, none},
		"true":            {`,"inputSchema":true`, none},
		"repeated names":  {`,"inputSchema":{"type":"object","type":"array"}`, none},
		"without a type":  {`,"inputSchema":{"properties":{"a":{}}}`, `{"properties":{"a":{}},"type":"object"}`},
		"empty":           {`,"inputSchema":{}`, none},
		"of another type": {`,"inputSchema":{"type":"string","x":1.0}`, `{"type":"object","x":1.0}`},
		"of two types":    {`,"inputSchema":{"type":["object","null"]}`, none},
		"sound":           {`,"inputSchema":{ "$schema":"http://json-schema.org/draft-07/schema#","type":"object","z":9007199254740993,"a":1.0}`, `{ "$schema":"http://json-schema.org/draft-07/schema#","type":"object","z":9007199254740993,"a":1.0}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, era := range []rpc.Era{rpc.Legacy, rpc.Modern} {
				if diff := cmp.Diff(tt.want, shownSchema(t, tt.members, era)); diff != "" {
					t.Errorf("%v: %s", era, diff)
				}
			}
		})
	}
}

// A schema may refer to others by URL: an upstream must not make the gateway call whom it likes.
func TestCorner5_33_ReferencesAreNotFetched(t *testing.T) {
	t.Parallel()
	var fetched atomic.Int32
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer web.Close()
	schema := fmt.Sprintf(`{"$schema":"%[1]s/meta","type":"object","properties":{"a":{"$ref":"%[1]s/a"}},"$defs":{"b":{"$dynamicRef":"%[1]s/b"}}}`, web.URL)
	if got := shownSchema(t, `,"inputSchema":`+schema, rpc.Modern); got != schema {
		t.Errorf("shown as %s", got)
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("%d references were fetched", n)
	}
}

// One entry that is too large is left out, and the others are not.
func TestCorner5_33_HugeSchemasAreLeftOut(t *testing.T) {
	t.Parallel()
	entry := func(name string, size int) string {
		return fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object","description":%q}}`, name, strings.Repeat("x", size))
	}
	page := `{"tools":[` + entry("small", 10) + `,` + entry("huge", maxEntry) + `,` + entry("large", maxEntry/2) + `]}`
	c := newCatalog(t, named{"u", &lister{pages: []string{page}}})
	if diff := cmp.Diff([]string{"u__small", "u__large"}, names(t, c, merged(Always), listCall(""))); diff != "" {
		t.Error(diff)
	}
}
