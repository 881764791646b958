package rpc_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
)

// parsed is what tests look at in a message.
type parsed struct {
	ID, Method, Params, Result string
	Err                        *rpc.WireError
}

func parse(t testing.TB, text string) *rpc.Message {
	t.Helper()
	m, err := rpc.Parse([]byte(text), rpc.Limits{})
	if err != nil {
		t.Fatalf("Parse(%.200q): %v", text, err)
	}
	return m
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want parsed
	}{
		"request": {
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}`,
			parsed{ID: "1", Method: "tools/call", Params: `{"name":"add"}`},
		},
		"notification":            {`{"jsonrpc":"2.0","method":"n"}`, parsed{Method: "n"}},
		"params null are none":    {`{"jsonrpc":"2.0","id":"a","method":"ping","params":null}`, parsed{ID: `"a"`, Method: "ping"}},
		"params empty":            {`{"jsonrpc":"2.0","id":1,"method":"m","params":{ }}`, parsed{ID: "1", Method: "m", Params: "{ }"}},
		"any order":               {`{"params":{},"method":"m","id":1,"jsonrpc":"2.0"}`, parsed{ID: "1", Method: "m", Params: "{}"}},
		"escaped member name":     {`{"jsonrpc":"2.0","id":1,"m\u0065thod":"m"}`, parsed{ID: "1", Method: "m"}},
		"escaped method":          {`{"jsonrpc":"2.0","id":1,"method":"tools\/c\u0061ll"}`, parsed{ID: "1", Method: "tools/call"}},
		"surrogate pair":          {`{"jsonrpc":"2.0","id":1,"method":"\ud83d\ude00"}`, parsed{ID: "1", Method: "😀"}},
		"space everywhere":        {" \t\r\n{ \"jsonrpc\" : \"2.0\" , \"id\" : 1 , \"method\" : \"m\" }\n", parsed{ID: "1", Method: "m"}},
		"unknown members":         {`{"jsonrpc":"2.0","x":[1,{"x":2}],"id":1,"method":"m","Params_":1}`, parsed{ID: "1", Method: "m"}},
		"result":                  {`{"jsonrpc":"2.0","id":7,"result":{"a":1}}`, parsed{ID: "7", Result: `{"a":1}`}},
		"result of any kind":      {`{"jsonrpc":"2.0","id":7,"result":null}`, parsed{ID: "7", Result: "null"}},
		"result with equal names": {`{"jsonrpc":"2.0","id":7,"result":{"a":1,"a":2,"_META":{}}}`, parsed{ID: "7", Result: `{"a":1,"a":2,"_META":{}}`}},
		"error": {
			`{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no \u0061","data":{"x":1.0}}}`,
			parsed{ID: "7", Err: &rpc.WireError{Code: -32601, Message: "no a", Data: []byte(`{"x":1.0}`)}},
		},
		"error that answers nothing": {
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}`,
			parsed{Err: &rpc.WireError{Code: -32700, Message: "m"}},
		},
		"error without id": {
			`{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}`,
			parsed{Err: &rpc.WireError{Code: -32700, Message: "m"}},
		},
		"lone surrogate in data": {
			`{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":{"q":"\ud800","\ud800":1}}}`,
			parsed{ID: "1", Method: "m", Params: `{"arguments":{"q":"\ud800","\ud800":1}}`},
		},
		"duplicates in data": {
			`{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":{"a":1,"a":2}}}`,
			parsed{ID: "1", Method: "m", Params: `{"arguments":{"a":1,"a":2}}`},
		},
		"cases in data": {
			`{"jsonrpc":"2.0","id":1,"method":"m","params":{"arguments":{"ID":1,"Name":2,"URI":3,"Params":4}}}`,
			parsed{ID: "1", Method: "m", Params: `{"arguments":{"ID":1,"Name":2,"URI":3,"Params":4}}`},
		},
		"reserved one layer up": {
			`{"jsonrpc":"2.0","id":1,"method":"m","params":{"ID":1,"Method":"x","Error":null},"Name":1,"Cursor":2}`,
			parsed{ID: "1", Method: "m", Params: `{"ID":1,"Method":"x","Error":null}`},
		},
		"NUL escaped": {`{"jsonrpc":"2.0","id":"\u0000","method":"m\u0000"}`, parsed{ID: `"\u0000"`, Method: "m\x00"}},
		"numbers": {
			`{"jsonrpc":"2.0","id":9007199254740993,"method":"m","params":{"a":[-0,0.0,1e400,1E+2,1e-2,123456789012345678901234567890]}}`,
			parsed{ID: "9007199254740993", Method: "m", Params: `{"a":[-0,0.0,1e400,1E+2,1e-2,123456789012345678901234567890]}`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := parse(t, tt.text)
			got := parsed{m.ID.Raw(), m.Method, string(m.Params), string(m.Result), m.Err}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
			if got := string(m.AppendTo(nil)); got != tt.text {
				t.Errorf("AppendTo wrote %q", got)
			}
			kinds := [3]bool{m.IsRequest(), m.IsNotification(), m.IsResponse()}
			want := [3]bool{m.Method != "" && m.ID != rpc.ID{}, m.Method != "" && m.ID == rpc.ID{}, m.Method == ""}
			if kinds != want {
				t.Errorf("request, notification, response = %v, want %v", kinds, want)
			}
		})
	}
}

// refused is the code of a refusal, and where and why by its cause.
type refused struct {
	code   rpc.Code
	offset int // -1: the cause tells none
	reason string
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	at := func(offset int, reason string) refused { return refused{rpc.ParseError, offset, reason} }
	ambiguous := func(offset int, reason string) refused { return refused{rpc.InvalidRequest, offset, reason} }
	invalid := func(reason string) refused { return refused{rpc.InvalidRequest, -1, reason} }
	tests := map[string]struct {
		text string
		want refused
	}{
		"nothing":              {"", at(0, "expected an object")},
		"space":                {" \n", at(2, "expected an object")},
		"byte order mark":      {"\ufeff{}", at(0, "expected an object")},
		"string":               {`"x"`, invalid("object")},
		"number":               {` -1.5e3 `, invalid("object")},
		"null":                 {`null`, invalid("object")},
		"half a word":          {`nul`, at(0, "expected an object")},
		"two strings":          {`"a" "b"`, at(0, "expected an object")},
		"string, not UTF-8":    {"\"\xff\"", at(0, "expected an object")},
		"batch":                {` [{"jsonrpc":"2.0","method":"m"}]`, invalid("batch")},
		"empty batch":          {`[]`, invalid("batch")},
		"cut":                  {`{"jsonrpc":"2.0"`, at(16, "expected ',' or '}'")},
		"cut in name":          {`{"jsonrpc`, at(9, "unterminated string")},
		"cut in escape":        {`{"a\`, at(4, "unknown escape")},
		"cut in hex":           {`{"a\u00`, at(7, "four hexadecimal digits")},
		"trailing data":        {`{"jsonrpc":"2.0","method":"m"} x`, at(31, "trailing data")},
		"two messages":         {`{"jsonrpc":"2.0","method":"m"}{}`, at(30, "trailing data")},
		"trailing NUL":         {"{\"jsonrpc\":\"2.0\",\"method\":\"m\"}\x00", at(30, "trailing data")},
		"vertical tab":         {"{\v}", at(1, "member name")},
		"no-break space":       {"{\u00a0}", at(1, "member name")},
		"form feed at end":     {"{}\f", at(2, "trailing data")},
		"trailing comma":       {`{"a":1,}`, at(7, "member name")},
		"leading comma":        {`{,"a":1}`, at(1, "member name")},
		"array trailing":       {`{"a":[1,]}`, at(8, "expected a value")},
		"array leading":        {`{"a":[,1]}`, at(6, "expected a value")},
		"array unclosed":       {`{"a":[1}`, at(7, "expected ',' or ']'")},
		"no colon":             {`{"a" 1}`, at(5, "expected ':'")},
		"no value":             {`{"a":}`, at(5, "expected a value")},
		"single quotes":        {`{'a':1}`, at(1, "member name")},
		"bare name":            {`{a:1}`, at(1, "member name")},
		"comment":              {`{/**/"a":1}`, at(1, "member name")},
		"True":                 {`{"a":True}`, at(5, "expected a value")},
		"tru":                  {`{"a":tru}`, at(5, "expected a value")},
		"nullx":                {`{"a":nullx}`, at(9, "expected ',' or '}'")},
		"NaN":                  {`{"a":NaN}`, at(5, "expected a value")},
		"leading zero":         {`{"a":01}`, at(6, "expected ',' or '}'")},
		"plus":                 {`{"a":+1}`, at(5, "expected a value")},
		"lone minus":           {`{"a":-}`, at(6, "expected a digit")},
		"no fraction":          {`{"a":1.}`, at(7, "digit after '.'")},
		"no integer":           {`{"a":.5}`, at(5, "expected a value")},
		"no exponent":          {`{"a":1e+}`, at(8, "digit in the exponent")},
		"hex number":           {`{"a":0x1}`, at(6, "expected ',' or '}'")},
		"tab in string":        {"{\"a\":\"\t\"}", at(6, "control character")},
		"NUL in string":        {"{\"a\":\"12345678\x00\"}", at(14, "control character")},
		"line end in name":     {"{\"\n\":1}", at(2, "control character")},
		"unknown escape":       {`{"a":"\x"}`, at(7, "unknown escape")},
		"bad hex":              {`{"a":"\u12G4"}`, at(10, "four hexadecimal digits")},
		"invalid UTF-8":        {"{\"a\":\"\xff\"}", at(6, "invalid UTF-8")},
		"overlong UTF-8":       {"{\"a\":\"\xc0\xaf\"}", at(6, "invalid UTF-8")},
		"surrogate in UTF-8":   {"{\"é\":\"\xed\xa0\x80\"}", at(7, "invalid UTF-8")},
		"cut UTF-8":            {"{\"a\":\"\xe2\x82\"}", at(6, "invalid UTF-8")},
		"invalid after a char": {"{\"\ufffd\xff", at(2, "invalid UTF-8")},

		"duplicate":               {`{"id":1,"id":1}`, ambiguous(8, `duplicate member "id"`)},
		"duplicate by escape":     {`{"method":"a","m\u0065thod":"b"}`, ambiguous(14, `duplicate member "method"`)},
		"duplicate unknown":       {`{"x":1,"x":2}`, ambiguous(7, `duplicate member "x"`)},
		"duplicate empty":         {`{"":1,"":2}`, ambiguous(6, `duplicate member ""`)},
		"duplicate in params":     {`{"params":{"name":"a","name":"b"}}`, ambiguous(22, `duplicate member "name"`)},
		"duplicate in _meta":      {`{"params":{"_meta":{"a":1,"a":2}}}`, ambiguous(26, `duplicate member "a"`)},
		"another case":            {`{"Method":"m"}`, ambiguous(1, `"Method" is method in another case`)},
		"another case by escape":  {`{"\u004dethod":"m"}`, ambiguous(1, "in another case")},
		"long s":                  {`{"params":{"argument` + "ſ" + `":1}}`, ambiguous(11, "is arguments in another case")},
		"kelvin sign":             {`{"params":{"ta` + "\u017f" + "\u212a" + `Id":1}}`, ambiguous(11, "is taskId in another case")},
		"PARAMS":                  {`{"PARAMS":{}}`, ambiguous(1, "is params in another case")},
		"Name":                    {`{"params":{"Name":"x"}}`, ambiguous(11, "is name in another case")},
		"URI":                     {`{"params":{"URI":"x"}}`, ambiguous(11, "is uri in another case")},
		"_META":                   {`{"params":{"_META":{}}}`, ambiguous(11, "is _meta in another case")},
		"revision key":            {`{"params":{"_meta":{"io.modelContextProtocol/protocolVersion":1}}}`, ambiguous(20, "in another case")},
		"lone surrogate in name":  {`{"\ud800":1}`, ambiguous(1, "names no character")},
		"lone surrogate in names": {`{"params":{"\udc00\ud800":1}}`, ambiguous(11, "names no character")},

		"empty object":         {`{}`, invalid("jsonrpc must be")},
		"no version":           {`{"id":1,"method":"m"}`, invalid("jsonrpc must be")},
		"version 1.0":          {`{"jsonrpc":"1.0","id":1,"method":"m"}`, invalid("jsonrpc must be")},
		"version number":       {`{"jsonrpc":2.0,"id":1,"method":"m"}`, invalid("jsonrpc must be")},
		"nothing to do":        {`{"jsonrpc":"2.0","id":1}`, invalid("exactly one")},
		"method and result":    {`{"jsonrpc":"2.0","id":1,"method":"m","result":1}`, invalid("exactly one")},
		"method and error":     {`{"jsonrpc":"2.0","id":1,"method":"m","error":{"code":1,"message":""}}`, invalid("exactly one")},
		"result and error":     {`{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}`, invalid("exactly one")},
		"result and params":    {`{"jsonrpc":"2.0","id":1,"result":{},"params":{}}`, invalid("params only beside method")},
		"method empty":         {`{"jsonrpc":"2.0","id":1,"method":""}`, invalid("method must be")},
		"method number":        {`{"jsonrpc":"2.0","id":1,"method":1}`, invalid("method must be")},
		"method null":          {`{"jsonrpc":"2.0","id":1,"method":null}`, invalid("method must be")},
		"method half a pair":   {`{"jsonrpc":"2.0","id":1,"method":"\ud800"}`, invalid("method must be")},
		"params array":         {`{"jsonrpc":"2.0","id":1,"method":"m","params":[]}`, invalid("params must be")},
		"params string":        {`{"jsonrpc":"2.0","id":1,"method":"m","params":"x"}`, invalid("params must be")},
		"id null":              {`{"jsonrpc":"2.0","id":null,"method":"m"}`, invalid("id must not be null")},
		"id true":              {`{"jsonrpc":"2.0","id":true,"method":"m"}`, ambiguous(22, "id must be")},
		"id object":            {`{"jsonrpc":"2.0","id":{},"method":"m"}`, ambiguous(22, "id must be")},
		"id array":             {`{"jsonrpc":"2.0","id":[1],"method":"m"}`, ambiguous(22, "id must be")},
		"id half a pair":       {`{"jsonrpc":"2.0","id":"\udfff","method":"m"}`, ambiguous(22, "names no character")},
		"id too long":          {`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 1023) + `","method":"m"}`, ambiguous(22, "longer than 1024")},
		"name half a pair":     {`{"jsonrpc":"2.0","method":"m","params":{"name":"\ud800"}}`, ambiguous(47, "params.name has an escape")},
		"uri half a pair":      {`{"jsonrpc":"2.0","method":"m","params":{"uri":"\udc00x"}}`, ambiguous(46, "params.uri has an escape")},
		"result without id":    {`{"jsonrpc":"2.0","result":{}}`, invalid("a result needs an id")},
		"result for null":      {`{"jsonrpc":"2.0","id":null,"result":{}}`, invalid("a result needs an id")},
		"error null":           {`{"jsonrpc":"2.0","id":1,"error":null}`, ambiguous(32, "error is not an object")},
		"error string":         {`{"jsonrpc":"2.0","id":1,"error":"x"}`, ambiguous(32, "error is not an object")},
		"error without code":   {`{"jsonrpc":"2.0","id":1,"error":{"message":"x"}}`, invalid("error.code")},
		"error code null":      {`{"jsonrpc":"2.0","id":1,"error":{"code":null}}`, invalid("error.code")},
		"error code string":    {`{"jsonrpc":"2.0","id":1,"error":{"code":"1"}}`, invalid("error.code")},
		"error code fraction":  {`{"jsonrpc":"2.0","id":1,"error":{"code":1.5}}`, invalid("error.code")},
		"error code too large": {`{"jsonrpc":"2.0","id":1,"error":{"code":9223372036854775808}}`, invalid("error.code")},
		"error twice code":     {`{"jsonrpc":"2.0","id":1,"error":{"code":1,"code":2}}`, ambiguous(42, `duplicate member "code"`)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := rpc.Parse([]byte(tt.text), rpc.Limits{})
			if err == nil {
				t.Fatal("accepted")
			}
			if m == nil {
				t.Error("no message beside the error")
			}
			checkRefusal(t, err, tt.want)
		})
	}
}

func checkRefusal(t *testing.T, err error, want refused) {
	t.Helper()
	e, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		t.Fatalf("error is a %T", err)
	}
	got := refused{code: e.Code, offset: -1, reason: want.reason}
	if s, ok := errors.AsType[*rpc.SyntaxError](err); ok {
		got.offset = s.Offset
	}
	if got != want || !strings.Contains(e.Message, want.reason) {
		t.Errorf("refused with %s at %d: %s; want %s at %d: %s", got.code, got.offset, e.Message, want.code, want.offset, want.reason)
	}
}

func TestRefusalKeepsTheID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"jsonrpc":"2.0","id":"a","method":1}`:                  `"a"`,
		`{"id":9,"method":"m"}`:                                  `9`,
		`{"jsonrpc":"2.0","id":1.0,"method":"m","params":[1]}`:   `1.0`,
		`{"jsonrpc":"2.0","id":7,"error":{"code":1,"code":2}}`:   `7`,
		`{"jsonrpc":"2.0","id":7,"id":8,"method":"m"}`:           ``, // which one?
		`{"jsonrpc":"2.0","id":7,"method":"m","params":{"a":1,}`: ``,
		`[{"jsonrpc":"2.0","id":7,"method":"m"}]`:                ``,
	} {
		m, err := rpc.Parse([]byte(text), rpc.Limits{})
		if err == nil || m.ID.Raw() != want {
			t.Errorf("%s: id %q, error %v; want id %q", text, m.ID.Raw(), err, want)
		}
	}
	if _, err := rpc.Parse([]byte("[]"), rpc.Limits{}); !errors.Is(err, rpc.ErrBatch) {
		t.Errorf("a batch is refused because of %v", err)
	}
}

func TestParseBoundsDepth(t *testing.T) {
	t.Parallel()
	nested := func(n int, open, closing string) []byte {
		return []byte(`{"jsonrpc":"2.0","method":"m","x":` + strings.Repeat(open, n-1) + "1" + strings.Repeat(closing, n-1) + `}`)
	}
	for _, tt := range []struct {
		limit, accepted int
	}{{0, 64}, {1, 1}, {2, 2}, {100, 100}, {rpc.MaxDepth, rpc.MaxDepth}, {1 << 20, rpc.MaxDepth}} {
		for _, kind := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
			if _, err := rpc.Parse(nested(tt.accepted, kind[0], kind[1]), rpc.Limits{Depth: tt.limit}); err != nil {
				t.Errorf("limit %d: %d nested %s refused: %v", tt.limit, tt.accepted, kind[0], err)
			}
			_, err := rpc.Parse(nested(tt.accepted+1, kind[0], kind[1]), rpc.Limits{Depth: tt.limit})
			checkRefusal(t, err, refused{rpc.ParseError, 34 + len(kind[0])*(tt.accepted-1), "nested too deep"})
		}
	}
	hostile := []byte(strings.Repeat(`{"a":`, 200_000))
	if _, err := rpc.Parse(hostile, rpc.Limits{Depth: 1 << 30}); err == nil {
		t.Error("a million bytes of nothing but nesting were accepted")
	}
}

func TestParseBoundsMembers(t *testing.T) {
	t.Parallel()
	object := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"k%d":%d,`, i, i)
		}
		return "{" + strings.TrimSuffix(b.String(), ",") + "}"
	}
	request := func(params string) []byte {
		return []byte(`{"jsonrpc":"2.0","method":"m","params":` + params + `}`)
	}
	m, err := rpc.Parse(request(object(10_000)), rpc.Limits{})
	if err != nil {
		t.Fatalf("10,000 members: %v", err)
	}
	if v, ok := m.Get("k9999"); !ok || string(v) != "9999" {
		t.Errorf("the last of 10,000 members is %q", v)
	}
	if _, err := rpc.Parse(request(object(10_001)), rpc.Limits{}); err == nil || !strings.Contains(err.Error(), "too many members") {
		t.Errorf("10,001 members: %v", err)
	}
	twice := strings.TrimSuffix(object(5000), "}") + `,"k17":1}`
	if _, err := rpc.Parse(request(twice), rpc.Limits{}); err == nil || !strings.Contains(err.Error(), `duplicate member "k17"`) {
		t.Errorf("a duplicate among many: %v", err)
	}
	if _, err := rpc.Parse(request(`{"arguments":`+object(20_000)+`}`), rpc.Limits{}); err != nil {
		t.Errorf("20,000 arguments, which are not recorded: %v", err)
	}
}

// TestStringsAtEveryAlignment looks at the scan of strings, which goes by eight
// bytes where it can.
func TestStringsAtEveryAlignment(t *testing.T) {
	t.Parallel()
	for before := range 40 {
		for after := range 20 {
			pad, tail := strings.Repeat("x", before), strings.Repeat("é", after)
			good := `{"jsonrpc":"2.0","method":"m","p":"` + pad + `\"` + tail + `"}`
			parse(t, good)
			for _, bad := range []string{"\x00", "\x1f", "\n", `\q`, "\x80"} {
				text := `{"jsonrpc":"2.0","method":"m","p":"` + pad + bad + tail + `"}`
				if _, err := rpc.Parse([]byte(text), rpc.Limits{}); err == nil {
					t.Errorf("accepted %q", text)
				}
			}
			for _, fine := range []string{"\x7f", " ", "!", "#", "[", "]", "\u0080", "\U0010ffff"} {
				parse(t, `{"jsonrpc":"2.0","method":"m","p":"`+pad+fine+tail+`"}`)
			}
		}
	}
}
