package mcp_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestParamHeaders(t *testing.T) {
	t.Parallel()
	header := func(name string, path ...string) rpc.ParamHeader {
		return rpc.ParamHeader{Name: "Mcp-Param-" + name, Path: path}
	}
	for name, tt := range map[string]struct {
		schema string
		want   []rpc.ParamHeader
	}{
		"nothing":   {``, nil},
		"null":      {`null`, nil},
		"no schema": {`true`, nil},
		"none":      {`{"type":"object","properties":{"a":{"type":"string"}}}`, nil},
		"one":       {`{"properties":{"region":{"type":"string","x-mcp-header":"Region"}}}`, []rpc.ParamHeader{header("Region", "region")}},
		"canonical": {`{"properties":{"a":{"type":"integer","x-mcp-header":"tenant-ID"}}}`, []rpc.ParamHeader{header("Tenant-Id", "a")}},
		"odd token": {`{"properties":{"a":{"type":"boolean","x-mcp-header":"!#$%&'*+-.^_|~1"}}}`, []rpc.ParamHeader{header("!#$%&'*+-.^_|~1", "a")}},
		"source order": {
			`{"properties":{"b":{"type":"string","x-mcp-header":"B"},"a":{"type":"string","x-mcp-header":"A"}}}`,
			[]rpc.ParamHeader{header("B", "b"), header("A", "a")},
		},
		"nested": {
			`{"properties":{"o":{"type":"object","properties":{"p":{"properties":{"q":{"type":"string","x-mcp-header":"Q"}}}}}}}`,
			[]rpc.ParamHeader{header("Q", "o", "p", "q")},
		},
		"beside and inside": {
			`{"properties":{"o":{"type":"string","x-mcp-header":"O","properties":{"p":{"type":"string","x-mcp-header":"P"}}}}}`,
			[]rpc.ParamHeader{header("O", "o"), header("P", "o", "p")},
		},
		"named like keywords": {
			`{"properties":{"default":{"type":"string","x-mcp-header":"D"},"items":{"properties":{"enum":{"type":"string","x-mcp-header":"E"}}},` +
				`"x-mcp-header":{"type":"string","x-mcp-header":"X"},"properties":{"type":"string"},"ID":{"type":"integer","x-mcp-header":"Id"}}}`,
			[]rpc.ParamHeader{header("D", "default"), header("E", "items", "enum"), header("X", "x-mcp-header"), header("Id", "ID")},
		},
		"named in other cases": {
			`{"properties":{"Name":{"type":"string"},"URI":{"type":"string","x-mcp-header":"U"}}}`, []rpc.ParamHeader{header("U", "URI")},
		},
		"written with escapes": {`{"properties":{"a":{"type":"string","x-mcp-he\u0061der":"A"}}}`, []rpc.ParamHeader{header("A", "a")}},
		"in data": {
			`{"default":{"x-mcp-header":"A"},"examples":[{"x-mcp-header":"A"}],"const":{"x-mcp-header":1},"enum":[{"x-mcp-header":"A"}],"x-vendor":{"x-mcp-header":"A"}}`,
			nil,
		},
		"in text":          {`{"description":"x-mcp-header","properties":{"a":{"type":"string"}}}`, nil},
		"boolean schemas":  {`{"properties":{"a":true,"b":{"type":"string","x-mcp-header":"B"}},"additionalProperties":false}`, []rpc.ParamHeader{header("B", "b")}},
		"properties array": {`{"properties":["x-mcp-header"]}`, nil},
		"with null":        {`{"items":null,"allOf":[null,true],"properties":{"b":{"type":"string","x-mcp-header":"B"}}}`, []rpc.ParamHeader{header("B", "b")}},
	} {
		got, err := mcp.ParamHeaders([]byte(tt.schema))
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestParamHeadersRefuses(t *testing.T) {
	t.Parallel()
	const (
		annotated = `{"type":"string","x-mcp-header":"A"}`
		one       = `"properties":{"a":` + annotated + `}`
	)
	many := make([]string, 65)
	for i := range many {
		many[i] = fmt.Sprintf(`"p%d":{"type":"string","x-mcp-header":"H%d"}`, i, i)
	}
	tests := map[string]struct{ schema, want string }{
		"empty name":      {`{"properties":{"a":{"type":"string","x-mcp-header":""}}}`, `property "a": x-mcp-header must be a non-empty token`},
		"space":           {`{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}`, "token"},
		"colon":           {`{"properties":{"a":{"type":"string","x-mcp-header":"a:b"}}}`, "token"},
		"line end":        {`{"properties":{"a":{"type":"string","x-mcp-header":"a\r\nEvil: 1"}}}`, "token"},
		"non-ASCII":       {`{"properties":{"a":{"type":"string","x-mcp-header":"größe"}}}`, "token"},
		"number":          {`{"properties":{"a":{"type":"string","x-mcp-header":1}}}`, "token"},
		"null":            {`{"properties":{"a":{"type":"string","x-mcp-header":null}}}`, "token"},
		"half a pair":     {`{"properties":{"a":{"type":"string","x-mcp-header":"\ud800"}}}`, "token"},
		"on number":       {`{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}`, "string, integer or boolean"},
		"on object":       {`{"properties":{"a":{"type":"object","x-mcp-header":"A"}}}`, "string, integer or boolean"},
		"on array":        {`{"properties":{"a":{"type":"array","x-mcp-header":"A"}}}`, "string, integer or boolean"},
		"on several":      {`{"properties":{"a":{"type":["string","null"],"x-mcp-header":"A"}}}`, "string, integer or boolean"},
		"without type":    {`{"properties":{"a":{"x-mcp-header":"A"}}}`, "string, integer or boolean"},
		"twice":           {`{"properties":{"a":` + annotated + `,"b":` + annotated + `}}`, `"A" stands twice`},
		"twice, by case":  {`{"properties":{"a":` + annotated + `,"b":{"type":"string","x-mcp-header":"a"}}}`, `"a" stands twice`},
		"twice, nested":   {`{"properties":{"a":` + annotated + `,"b":{"properties":{"c":` + annotated + `}}}}`, `property "b.c"`},
		"at the root":     {`{"type":"string","x-mcp-header":"A"}`, "cannot be reached"},
		"ref":             {`{"properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":` + annotated + `}}`, "cannot be reached"},
		"under items":     {`{"properties":{"l":{"items":{` + one + `}}}}`, "cannot be reached"},
		"under not":       {`{"not":{` + one + `},` + one + `}`, "cannot be reached"},
		"too many":        {`{"properties":{` + strings.Join(many, ",") + `}}`, "more than 64"},
		"no object":       {`["x-mcp-header"]`, ""},
		"duplicate":       {`{"properties":{"a":{"type":"string","x-mcp-header":"A","type":"integer"}}}`, "duplicate member"},
		"duplicate aside": {`{` + one + `,"items":{"x-mcp-header":"B"},"allOf":[{"d":1,"d":2}]}`, ""},
		"too deep":        {`{` + one + `,"not":` + strings.Repeat(`{"not":`, 64) + `{}` + strings.Repeat("}", 64) + `}`, "64 deep"},
	}
	for _, keyword := range []string{
		"additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then",
		"unevaluatedItems", "unevaluatedProperties",
	} {
		tests["in "+keyword] = struct{ schema, want string }{`{"` + keyword + `":` + annotated + `}`, "cannot be reached"}
	}
	for _, keyword := range []string{"allOf", "anyOf", "oneOf", "prefixItems", "items"} {
		tests["in list of "+keyword] = struct{ schema, want string }{`{"` + keyword + `":[{},` + annotated + `]}`, "cannot be reached"}
	}
	for _, keyword := range []string{"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties"} {
		tests["in map of "+keyword] = struct{ schema, want string }{`{"` + keyword + `":{"x":{` + one + `}}}`, "cannot be reached"}
	}
	for name, tt := range tests {
		got, err := mcp.ParamHeaders([]byte(tt.schema))
		if tt.schema[0] == '[' { // what is no schema has no annotations
			if err != nil || got != nil {
				t.Errorf("%s: %v, %v", name, got, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || got != nil {
			t.Errorf("%s: %v, %v; want %q", name, got, err, tt.want)
		}
	}
}

// annotatedTool is the definition that the tests below call.
var annotatedTool = []rpc.ParamHeader{
	{Name: "Mcp-Param-Text", Path: []string{"text"}},
	{Name: "Mcp-Param-Count", Path: []string{"count"}},
	{Name: "Mcp-Param-Flag", Path: []string{"flag"}},
	{Name: "Mcp-Param-Deep", Path: []string{"a", "b", "Größe"}},
}

func toolCall(t *testing.T, params string) *rpc.Message {
	t.Helper()
	m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":`+params+`}`), rpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type pairs map[string]string

func (p pairs) header() http.Header {
	h := http.Header{}
	for name, value := range p {
		h["Mcp-Param-"+name] = []string{value}
	}
	return h
}

func encoded(s string) string {
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?="
}

func TestParamsThatMatch(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		params string
		sent   pairs // what a client may send
		made   pairs // what is made for an upstream; nil: the same
	}{
		"no arguments":     {`{}`, pairs{}, nil},
		"arguments null":   {`{"arguments":null}`, pairs{}, nil},
		"arguments string": {`{"arguments":"text"}`, pairs{}, nil},
		"all absent":       {`{"arguments":{}}`, pairs{}, nil},
		"null":             {`{"arguments":{"text":null,"count":null,"a":null}}`, pairs{}, nil},
		"string":           {`{"arguments":{"text":"eu-1"}}`, pairs{"Text": "eu-1"}, nil},
		"empty":            {`{"arguments":{"text":""}}`, pairs{"Text": ""}, nil},
		"escaped":          {`{"arguments":{"t\u0065xt":"\u0065u"}}`, pairs{"Text": "eu"}, nil},
		"non-ASCII":        {`{"arguments":{"text":"größe"}}`, pairs{"Text": encoded("größe")}, nil},
		"line end":         {`{"arguments":{"text":"a\r\nb"}}`, pairs{"Text": encoded("a\r\nb")}, nil},
		"space around":     {`{"arguments":{"text":" a "}}`, pairs{"Text": encoded(" a ")}, nil},
		"looks encoded":    {`{"arguments":{"text":"=?base64?YQ==?="}}`, pairs{"Text": encoded("=?base64?YQ==?=")}, nil},
		"needlessly":       {`{"arguments":{"text":"a"}}`, pairs{"Text": encoded("a")}, pairs{"Text": "a"}},
		"number as text":   {`{"arguments":{"text":"007"}}`, pairs{"Text": "007"}, nil},
		"integer":          {`{"arguments":{"count":42}}`, pairs{"Count": "42"}, nil},
		"integer 42.0":     {`{"arguments":{"count":42.0}}`, pairs{"Count": "42"}, nil},
		"header 42.0":      {`{"arguments":{"count":42}}`, pairs{"Count": "42.0"}, pairs{"Count": "42"}},
		"header 4.2e1":     {`{"arguments":{"count":42}}`, pairs{"Count": "4.2e1"}, pairs{"Count": "42"}},
		"negative":         {`{"arguments":{"count":-7}}`, pairs{"Count": "-7"}, nil},
		"minus zero":       {`{"arguments":{"count":-0}}`, pairs{"Count": "0"}, nil},
		"largest":          {`{"arguments":{"count":9007199254740991}}`, pairs{"Count": "9007199254740991"}, nil},
		"smallest":         {`{"arguments":{"count":-9007199254740991}}`, pairs{"Count": "-9007199254740991"}, nil},
		"true":             {`{"arguments":{"flag":true}}`, pairs{"Flag": "true"}, nil},
		"false":            {`{"arguments":{"flag":false}}`, pairs{"Flag": "false"}, nil},
		"nested":           {`{"arguments":{"a":{"b":{"Größe":"x"}}}}`, pairs{"Deep": "x"}, nil},
		"nested, cut":      {`{"arguments":{"a":{"b":7}}}`, pairs{}, nil},
		"other cases":      {`{"arguments":{"ID":1,"Name":"x","Text":"y","text":"z"}}`, pairs{"Text": "z"}, nil},
		"unknown headers":  {`{"arguments":{"text":"a"}}`, pairs{"Text": "a", "Other": "b"}, pairs{"Text": "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := toolCall(t, tt.params)
			if err := mcp.CheckParams(tt.sent.header(), m, annotatedTool); err != nil {
				t.Error(err)
			}
			made := pairs{}
			err := mcp.EachParam(m, annotatedTool, func(name, value string) {
				made[strings.TrimPrefix(name, "Mcp-Param-")] = value
			})
			want := tt.made
			if want == nil {
				want = tt.sent
			}
			if diff := cmp.Diff(want, made); diff != "" || err != nil {
				t.Errorf("%v (-want +made):\n%s", err, diff)
			}
		})
	}
}

func TestParamsThatDiffer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		params string
		sent   pairs
	}{
		"missing":             {`{"arguments":{"text":"a"}}`, pairs{}},
		"missing, empty":      {`{"arguments":{"text":""}}`, pairs{}},
		"missing false":       {`{"arguments":{"flag":false}}`, pairs{}},
		"missing nested":      {`{"arguments":{"a":{"b":{"Größe":"x"}}}}`, pairs{}},
		"other":               {`{"arguments":{"text":"a"}}`, pairs{"Text": "b"}},
		"other case":          {`{"arguments":{"text":"a"}}`, pairs{"Text": "A"}},
		"for null":            {`{"arguments":{"text":null}}`, pairs{"Text": "null"}},
		"for absent":          {`{"arguments":{}}`, pairs{"Text": ""}},
		"no arguments":        {`{}`, pairs{"Text": "a"}},
		"empty for something": {`{"arguments":{"text":"a"}}`, pairs{"Text": ""}},
		"text by number":      {`{"arguments":{"text":"42"}}`, pairs{"Text": "42.0"}},
		"other number":        {`{"arguments":{"count":42}}`, pairs{"Count": "43"}},
		"hex number":          {`{"arguments":{"count":42}}`, pairs{"Count": "0x2Ap0"}},
		"plus":                {`{"arguments":{"count":42}}`, pairs{"Count": "+42"}},
		"leading zero":        {`{"arguments":{"count":42}}`, pairs{"Count": "042"}},
		"underscore":          {`{"arguments":{"count":42}}`, pairs{"Count": "4_2"}},
		"fraction":            {`{"arguments":{"count":42}}`, pairs{"Count": "42.5"}},
		"no number":           {`{"arguments":{"count":42}}`, pairs{"Count": "NaN"}},
		"number quoted":       {`{"arguments":{"count":42}}`, pairs{"Count": `"42"`}},
		"argument fraction":   {`{"arguments":{"count":4.2}}`, pairs{"Count": "4.2"}},
		"argument too large":  {`{"arguments":{"count":9007199254740992}}`, pairs{"Count": "9007199254740992"}},
		"argument infinite":   {`{"arguments":{"count":1e400}}`, pairs{"Count": "1e400"}},
		"argument object":     {`{"arguments":{"text":{}}}`, pairs{"Text": "{}"}},
		"argument array":      {`{"arguments":{"text":["a"]}}`, pairs{"Text": "a"}},
		"argument half":       {`{"arguments":{"text":"\ud800"}}`, pairs{"Text": "\ufffd"}},
		"True":                {`{"arguments":{"flag":true}}`, pairs{"Flag": "True"}},
		"1 for true":          {`{"arguments":{"flag":true}}`, pairs{"Flag": "1"}},
		"raw non-ASCII":       {`{"arguments":{"text":"größe"}}`, pairs{"Text": "größe"}},
		"encoded other":       {`{"arguments":{"text":"a"}}`, pairs{"Text": encoded("b")}},
		"encoded badly":       {`{"arguments":{"text":"a"}}`, pairs{"Text": "=?base64?YQ?="}},
		"sentinel upper case": {`{"arguments":{"text":"a"}}`, pairs{"Text": "=?BASE64?YQ==?="}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantCode(t, mcp.CheckParams(tt.sent.header(), toolCall(t, tt.params), annotatedTool), rpc.HeaderMismatch)
		})
	}
	h := pairs{"Text": "a"}.header()
	h.Add("Mcp-Param-Text", "a")
	wantCode(t, mcp.CheckParams(h, toolCall(t, `{"arguments":{"text":"a"}}`), annotatedTool), rpc.HeaderMismatch)
}

func TestParamsThatReadersDisputed(t *testing.T) {
	t.Parallel()
	for _, params := range []string{
		`{"arguments":{"text":"a","text":"b"}}`,
		`{"arguments":{"text":"a","te\u0078t":"b"}}`,
		`{"arguments":{"text":"a","a":{"b":{"x":1,"x":2}}}}`,
		`{"arguments":{"text":"a","\ud800":1}}`,
	} {
		m, h := toolCall(t, params), pairs{"Text": "a"}.header()
		wantCode(t, mcp.CheckParams(h, m, annotatedTool), rpc.InvalidRequest)
		wantCode(t, mcp.EachParam(m, annotatedTool, func(string, string) {}), rpc.InvalidRequest)
		if err := mcp.CheckParams(h, m, nil); err != nil {
			t.Errorf("%s: no annotation asks, but: %v", params, err)
		}
	}
}
