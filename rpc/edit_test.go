package rpc_test

import (
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// do is one edit, written short.
type do func(m *rpc.Message)

func set(name, value string) do     { return func(m *rpc.Message) { m.Set(name, []byte(value)) } }
func drop(name string) do           { return func(m *rpc.Message) { m.Drop(name) } }
func setMeta(name, value string) do { return func(m *rpc.Message) { m.SetMeta(name, []byte(value)) } }
func dropMeta(name string) do       { return func(m *rpc.Message) { m.DropMeta(name) } }
func setID(raw string) do {
	return func(m *rpc.Message) {
		id, err := rpc.ParseID([]byte(raw))
		if err != nil {
			panic(err)
		}
		m.SetID(id)
	}
}
func dropID(m *rpc.Message) { m.SetID(rpc.ID{}) }

type editTest struct {
	text  string // only what varies, see where it is used
	edits []do
	want  string
}

func checkEdits(t *testing.T, tests map[string]editTest, wrap func(text string) string) {
	t.Helper()
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := parse(t, wrap(tt.text))
			for _, edit := range tt.edits {
				edit(m)
			}
			got := string(m.AppendTo([]byte("prefix ")))
			if want := "prefix " + wrap(tt.want); got != want {
				t.Errorf("%s\nbecame %s\nwant   %s", tt.text, got, want)
			}
			if len(got)-len("prefix ") > m.Size() {
				t.Errorf("%d bytes, but Size promised at most %d", len(got), m.Size())
			}
			parse(t, strings.TrimPrefix(got, "prefix "))
		})
	}
}

func TestEditEnvelope(t *testing.T) {
	t.Parallel()
	const call = `"jsonrpc":"2.0","method":"m"`
	checkEdits(t, map[string]editTest{
		"nothing":              {` { ` + call + ` , "id" : 1 } `, nil, ` { ` + call + ` , "id" : 1 } `},
		"id":                   {` { ` + call + ` , "id" : 1 } `, []do{setID(`"g"`)}, ` { ` + call + ` , "id" : "g" } `},
		"id first":             {`{"id":1,` + call + `}`, []do{setID("22")}, `{"id":22,` + call + `}`},
		"id twice":             {`{"id":1,` + call + `}`, []do{setID("22"), setID("3")}, `{"id":3,` + call + `}`},
		"id back":              {`{"id":1,` + call + `}`, []do{dropID, setID("1")}, `{"id":1,` + call + `}`},
		"id of a notification": {`{` + call + ` }`, []do{setID("5")}, `{` + call + `,"id":5 }`},
		"no id":                {`{"id":1, ` + call + `}`, []do{dropID}, `{ ` + call + `}`},
		"no id, spaced":        {`{ "id" : 1 , ` + call + `}`, []do{dropID}, `{ ` + call + `}`},
		"no id, last":          {`{` + call + `,"id":1}`, []do{dropID}, `{` + call + `}`},
		"no id, none before":   {`{` + call + `}`, []do{dropID}, `{` + call + `}`},
		"escaped name":         {`{` + call + `,"\u0069d":1}`, []do{setID("2")}, `{` + call + `,"\u0069d":2}`},
		"params made":          {`{` + call + `}`, []do{set("name", `"x"`)}, `{` + call + `,"params":{"name":"x"}}`},
		"_meta made":           {`{` + call + `}`, []do{setMeta("a", `1`)}, `{` + call + `,"params":{"_meta":{"a":1}}}`},
		"both made":            {`{` + call + `}`, []do{setMeta("a", `1`), set("b", "2")}, `{` + call + `,"params":{"b":2,"_meta":{"a":1}}}`},
		"both and id":          {`{` + call + `}`, []do{setMeta("a", `1`), setID("3"), set("b", "2")}, `{` + call + `,"id":3,"params":{"b":2,"_meta":{"a":1}}}`},
		"params null":          {`{` + call + `,"params":null}`, []do{set("a", "1")}, `{` + call + `,"params":{"a":1}}`},
		"params null, _meta":   {`{"params" : null,` + call + `}`, []do{setMeta("a", "1")}, `{"params" : {"_meta":{"a":1}},` + call + `}`},
		"absent stays absent":  {`{` + call + `}`, []do{drop("a"), dropMeta("b"), drop("_meta")}, `{` + call + `}`},
		"null stays null":      {`{` + call + `,"params": null}`, []do{drop("a"), dropMeta("b")}, `{` + call + `,"params": null}`},
		"empty stays empty":    {`{` + call + `,"params":{ }}`, []do{drop("a"), dropMeta("b")}, `{` + call + `,"params":{ }}`},
		"set, then dropped":    {`{` + call + `}`, []do{set("a", "1"), drop("a"), setMeta("b", "1"), dropMeta("b")}, `{` + call + `}`},
		"unknown members stay": {`{"x" : [ 1 ] ,` + call + `,"id":1,"y":{}}`, []do{setID("2")}, `{"x" : [ 1 ] ,` + call + `,"id":2,"y":{}}`},
	}, func(text string) string { return text })
}

func TestEditParams(t *testing.T) {
	t.Parallel()
	checkEdits(t, bodyEdits(), func(text string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"m", "params" : ` + text + ` }`
	})
}

func TestEditResult(t *testing.T) {
	t.Parallel()
	checkEdits(t, bodyEdits(), func(text string) string {
		return "\n" + `{"result":` + text + `,"jsonrpc":"2.0" , "id":1}`
	})
}

func bodyEdits() map[string]editTest {
	return map[string]editTest{
		"replace only":     {`{"a":1}`, []do{set("a", "2")}, `{"a":2}`},
		"replace first":    {`{"a":1,"b":2}`, []do{set("a", "9")}, `{"a":9,"b":2}`},
		"replace middle":   {`{"a":1, "b" : 2 ,"c":3}`, []do{set("b", `"x y"`)}, `{"a":1, "b" : "x y" ,"c":3}`},
		"replace last":     {`{"a":1,"b":2 }`, []do{set("b", "{}")}, `{"a":1,"b":{} }`},
		"replace escaped":  {`{"\u0061":1}`, []do{set("a", "2")}, `{"\u0061":2}`},
		"add":              {`{"a":1}`, []do{set("b", "2")}, `{"a":1,"b":2}`},
		"add to empty":     {`{}`, []do{set("b", "2")}, `{"b":2}`},
		"add to space":     {`{ }`, []do{set("b", "2")}, `{"b":2 }`},
		"add before space": {"{\"a\":1\n}", []do{set("b", "2"), set("c", "3")}, "{\"a\":1,\"b\":2,\"c\":3\n}"},
		"add odd name":     {`{}`, []do{set("\"\\\n<é", "2")}, `{"\"\\\u000a<é":2}`},
		"drop only":        {`{"a":1}`, []do{drop("a")}, `{}`},
		"drop only spaced": {`{ "a" : 1 }`, []do{drop("a")}, `{ }`},
		"drop first":       {`{"a":1,"b":2}`, []do{drop("a")}, `{"b":2}`},
		"drop first, space before comma": {
			`{ "a" : 1 , "b" : 2 }`, []do{drop("a")}, `{ "b" : 2 }`,
		},
		"drop middle":       {`{"a":1, "b":2, "c":3}`, []do{drop("b")}, `{"a":1, "c":3}`},
		"drop last":         {`{"a":1 , "b":2 }`, []do{drop("b")}, `{"a":1 }`},
		"drop adjacent":     {`{"a":1 ,"b":2 ,"c":3 ,"d":4}`, []do{drop("b"), drop("c")}, `{"a":1 ,"d":4}`},
		"drop two first":    {`{"a":1 , "b":2 , "c":3}`, []do{drop("b"), drop("a")}, `{ "c":3}`},
		"drop two last":     {`{"a":1, "b":2, "c":3 }`, []do{drop("b"), drop("c")}, `{"a":1 }`},
		"drop all":          {`{"a":1, "b":2 }`, []do{drop("b"), drop("a")}, `{ }`},
		"drop all and add":  {`{"a":1, "b":2 }`, []do{drop("b"), set("c", "3"), drop("a")}, `{"c":3 }`},
		"drop absent":       {`{"a":1}`, []do{drop("b")}, `{"a":1}`},
		"drop first, add":   {`{"a":1,"b":2}`, []do{drop("a"), set("c", "3")}, `{"b":2,"c":3}`},
		"drop, then set":    {`{"a":1,"b":2}`, []do{drop("a"), set("a", "3")}, `{"a":3,"b":2}`},
		"set, then drop":    {`{"a":1,"b":2}`, []do{set("a", "3"), drop("a")}, `{"b":2}`},
		"set twice":         {`{"a":1,"b":2}`, []do{set("b", "3"), set("b", "4")}, `{"a":1,"b":4}`},
		"drop with commas":  {`{"a":"x,y","b":",","c":[1,2]}`, []do{drop("b")}, `{"a":"x,y","c":[1,2]}`},
		"first with commas": {`{"a":"x,y","b":",","c":[1,2]}`, []do{drop("a")}, `{"b":",","c":[1,2]}`},
		"data keeps its space": {
			`{"name":"x","arguments": { "q" : [ 1.0 , 9007199254740993 ] , "Ä" : "\u00c4" } }`,
			[]do{set("name", `"y"`)},
			`{"name":"y","arguments": { "q" : [ 1.0 , 9007199254740993 ] , "Ä" : "\u00c4" } }`,
		},

		"meta replace":  {`{"_meta":{"a":1}}`, []do{setMeta("a", "2")}, `{"_meta":{"a":2}}`},
		"meta add":      {`{"_meta":{"a":1 } }`, []do{setMeta("b", "2")}, `{"_meta":{"a":1,"b":2 } }`},
		"meta drop":     {`{ "_meta" : {"a":1 , "b":2} }`, []do{dropMeta("a")}, `{ "_meta" : { "b":2} }`},
		"meta drop all": {`{"_meta":{"a":1,"b":2}}`, []do{dropMeta("a"), dropMeta("b")}, `{"_meta":{}}`},
		"meta drop and add": {
			`{"_meta":{"a":1,"b":2}}`, []do{dropMeta("a"), dropMeta("b"), setMeta("c", "3")}, `{"_meta":{"c":3}}`,
		},
		"meta made":          {`{"a":1}`, []do{setMeta("k", "1")}, `{"a":1,"_meta":{"k":1}}`},
		"meta made in empty": {`{}`, []do{setMeta("k", "1"), setMeta("l", "2")}, `{"_meta":{"k":1,"l":2}}`},
		"meta null":          {`{"_meta":null,"a":1}`, []do{setMeta("k", "1")}, `{"_meta":{"k":1},"a":1}`},
		"meta no object":     {`{"_meta":[1],"a":1}`, []do{setMeta("k", "1")}, `{"_meta":{"k":1},"a":1}`},
		"meta null stays":    {`{"_meta":null}`, []do{dropMeta("k")}, `{"_meta":null}`},
		"meta empty stays":   {`{"_meta":{ }}`, []do{dropMeta("k")}, `{"_meta":{ }}`},
		"meta among edits": {
			`{"a":1,"_meta":{"k":1},"b":2}`, []do{drop("a"), setMeta("l", "2"), set("b", "3"), dropMeta("k")}, `{"_meta":{"l":2},"b":3}`,
		},
		"meta dropped":               {`{"a":1,"_meta":{"k":1}}`, []do{drop("_meta")}, `{"a":1}`},
		"meta dropped with edits":    {`{"a":1,"_meta":{"k":1}}`, []do{setMeta("k", "2"), setMeta("l", "3"), drop("_meta")}, `{"a":1}`},
		"meta dropped, then set in":  {`{"_meta":{"k":1},"a":1}`, []do{drop("_meta"), setMeta("l", "3")}, `{"_meta":{"l":3},"a":1}`},
		"meta dropped, dropped in":   {`{"_meta":{"k":1},"a":1}`, []do{drop("_meta"), dropMeta("k")}, `{"a":1}`},
		"meta replaced":              {`{"_meta":{"k":1},"a":1}`, []do{set("_meta", `{ "l" : 2 }`)}, `{"_meta":{ "l" : 2 },"a":1}`},
		"meta replaced, then set in": {`{"_meta":{"k":1}}`, []do{set("_meta", `{ "l" : 2 }`), setMeta("m", "3"), dropMeta("l")}, `{"_meta":{"m":3 }}`},
		"meta set in, then replaced": {`{"_meta":{"k":1}}`, []do{setMeta("m", "3"), set("_meta", `{"l":2}`)}, `{"_meta":{"l":2}}`},
		"meta added whole":           {`{"a":1}`, []do{set("_meta", `{"l":2}`)}, `{"a":1,"_meta":{"l":2}}`},
		"meta added whole, set in":   {`{"a":1}`, []do{set("_meta", `{"l":2}`), setMeta("l", "3")}, `{"a":1,"_meta":{"l":3}}`},
		"meta made null, set in":     {`{"a":1}`, []do{set("_meta", `null`), setMeta("l", "3")}, `{"a":1,"_meta":{"l":3}}`},
		"meta made null, dropped in": {`{"a":1}`, []do{set("_meta", `null`), dropMeta("l")}, `{"a":1,"_meta":null}`},
		"long names": {
			`{"_meta":{"io.modelcontextprotocol/clientCapabilities":{ },"x":1}}`,
			[]do{dropMeta("io.modelcontextprotocol/clientCapabilities"), setMeta("io.modelcontextprotocol/protocolVersion", `"2026-07-28"`)},
			`{"_meta":{"x":1,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`,
		},
	}
}

// TestEditsThatHaveNoPlace is about messages without a body that can be edited.
func TestEditsThatHaveNoPlace(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}`,
		`{"jsonrpc":"2.0","id":1,"result":null}`,
		`{"jsonrpc":"2.0","id":1,"result":[{"a":1}]}`,
		`{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"_meta":{"a":1,"a":2}}}`,
	} {
		m := parse(t, text)
		for _, edit := range []do{set("a", "2"), drop("a"), setMeta("a", "3"), dropMeta("a")} {
			edit(m)
		}
		if got := string(m.AppendTo(nil)); got != text {
			t.Errorf("%s\nbecame %s", text, got)
		}
		setID(`"back"`)(m)
		if got, want := string(m.AppendTo(nil)), strings.Replace(text, `"id":1`, `"id":"back"`, 1); got != want {
			t.Errorf("%s\nwith another id became %s", text, got)
		}
	}
}

func TestForksAreIndependent(t *testing.T) {
	t.Parallel()
	const text = `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":1}}`
	m := parse(t, text)
	m.Set("a", []byte("2"))
	one, two := m.Fork(), m.Fork()
	one.SetID(rpc.NumberID(10))
	two.SetID(rpc.NumberID(20))
	one.Set("a", []byte("3"))
	two.Drop("a")
	two.Drop("_meta")
	m.Set("b", []byte("4"))
	for _, tt := range []struct {
		m    *rpc.Message
		want string
	}{
		{m, `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":2,"b":4}}`},
		{one, `{"jsonrpc":"2.0","id":10,"method":"m","params":{"a":3}}`},
		{two, `{"jsonrpc":"2.0","id":20,"method":"m","params":{}}`},
	} {
		if got := string(tt.m.AppendTo(nil)); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
		if v, _ := tt.m.Get("a"); string(v) != "1" || tt.m.ID.Raw() != "1" {
			t.Errorf("edits show in what was received: a is %s, id %s", v, tt.m.ID.Raw())
		}
	}
}

func TestAppendResultIsTheResultOfTheMessageThatIsWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{"a": 1,"_meta":{"x":true}}}`, `{"jsonrpc":"2.0","id":1,"result":{ }}`, `{"jsonrpc":"2.0","id":1,"result":[1]}`,
	} {
		for _, edit := range []func(*rpc.Message){
			func(*rpc.Message) {},
			func(m *rpc.Message) { m.Set("a", []byte("2")) },
			func(m *rpc.Message) { m.Drop("a") },
			func(m *rpc.Message) { m.SetMeta("y", []byte("3")); m.DropMeta("x"); m.SetID(rpc.NumberID(9)) },
		} {
			m, err := rpc.Parse([]byte(text), rpc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if m.CheckBody() == nil {
				edit(m)
			}
			if got, want := string(m.AppendResult(nil)), string(m.Clone().Result); got != want {
				t.Errorf("%s: %s, want %s", text, got, want)
			}
		}
	}
}

func TestAppendParamsIsTheParamsOfTheMessageThatIsWritten(t *testing.T) {
	t.Parallel()
	for _, params := range []string{"", `,"params":{"a": 1,"b":{"c":1.0}}`, `,"params":{ }`, `,"params":null`} {
		for _, edit := range []func(*rpc.Message){
			func(*rpc.Message) {},
			func(m *rpc.Message) { m.Set("a", []byte("2")); m.SetID(rpc.NumberID(9)) },
			func(m *rpc.Message) { m.Drop("a"); m.Set("d", []byte(`"x"`)) },
		} {
			m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"m"`+params+`}`), rpc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			edit(m)
			if got, want := string(m.AppendParams(nil)), string(m.Clone().Params); got != want {
				t.Errorf("%s: %s, want %s", params, got, want)
			}
		}
	}
}

func TestHasOnly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]bool{
		`{}`:                         {true, true},
		`{"a":1}`:                    {true, true},
		`{"\u0061":1}`:               {true, true},
		`{"a":1,"b":2}`:              {false, true},
		`{"a":1,"_meta":{}}`:         {true, true},
		`{"_meta":{"x":1}}`:          {true, true},
		`{"_meta":{"x":1,"y":2}}`:    {true, false},
		`{"_meta":"x"}`:              {true, false},
		`{"_meta":{"x":1,"x2":[1]}}`: {true, false},
	} {
		m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"m","params":`+text+`}`), rpc.Limits{})
		if err != nil {
			continue // what cannot be read has no members
		}
		if got := [2]bool{m.HasOnly("a", "_meta"), m.MetaHasOnly("x")}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
