package wire_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
)

// generator writes messages that are valid but for what goes wrong by intention. It is
// made from a seed, so that a failure can be had again.
type generator struct {
	*rand.Rand
	b        bytes.Buffer
	hazards  int  // one in so many choices is a hazard; 0: none
	tampered bool // whether anything was written that may be refused
}

func newGenerator(seed uint64, hazards int) *generator {
	return &generator{Rand: rand.New(rand.NewPCG(seed, 0x68656164)), hazards: hazards}
}

// one returns true once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

// hazard decides whether something goes wrong here.
func (g *generator) hazard() bool {
	if g.hazards == 0 || !g.one(g.hazards) {
		return false
	}
	g.tampered = true
	return true
}

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

// message writes a call, or now and then a response.
func (g *generator) message() []byte {
	g.b.Reset()
	g.tampered = false
	if g.hazard() {
		g.b.WriteString(pick(g, "\ufeff", "\x00", "[", "\xff\xfe", "1 ", "//\n", "{}"))
	}
	g.space()
	switch {
	case g.one(12):
		g.object(g.response())
	default:
		g.object(g.call())
	}
	g.space()
	if g.hazard() {
		g.b.WriteString(pick(g, "x", "{}", "\x00", "]", "}", ",", "null", "\ufeff", "\x1a"))
	}
	return g.damaged(bytes.Clone(g.b.Bytes()))
}

// damaged changes a few bytes of some messages.
func (g *generator) damaged(text []byte) []byte {
	if g.hazards == 0 || !g.one(8) {
		return text
	}
	g.tampered = true
	for range 1 + g.IntN(3) {
		i := g.IntN(len(text))
		switch g.IntN(4) {
		case 0:
			text[i] = byte(g.IntN(256))
		case 1:
			text = append(text[:i], text[i+1:]...)
		case 2:
			text = append(text[:i], append([]byte(pick(g, `"`, `\`, ",", ":", "{", "}", "0", "\u00e9", "\xc3", " ")), text[i:]...)...)
		default:
			text = text[:i+1]
		}
		if len(text) == 0 {
			return text
		}
	}
	return text
}

// member is a name as it is decoded and what writes the value.
type member struct {
	name  string
	write func()
}

func (g *generator) literal(list ...string) func() {
	return func() { g.b.WriteString(pick(g, list...)) }
}

func (g *generator) call() []member {
	list := []member{
		{"jsonrpc", g.literal(`"2.0"`)},
		{"method", func() { g.text(pick(g, "tools/call", "resources/read", "m", "größe/x", "a\"b\\", "\x01")) }},
	}
	if !g.one(6) {
		list = append(list, member{"id", g.id})
	}
	switch g.IntN(8) {
	case 0:
	case 1:
		list = append(list, member{"params", g.literal("null")})
	default:
		list = append(list, member{"params", func() { g.object(g.params()) }})
	}
	return g.spoiled(list, "id", "method", "params", "result", "error", "jsonrpc")
}

func (g *generator) response() []member {
	list := []member{{"jsonrpc", g.literal(`"2.0"`)}, {"id", g.id}}
	if g.one(3) {
		list = append(list, member{"error", g.literal(`{"code":-32602,"message":"m"}`, `{ "message" : "\ud83d\ude00" , "code" : 0 , "data" : [1e400] }`)})
	} else {
		list = append(list, member{"result", func() { g.value(0) }})
	}
	return g.spoiled(list, "id", "result", "error", "method", "params")
}

func (g *generator) params() []member {
	var list []member
	add := func(name string, write func()) {
		if g.one(2) {
			list = append(list, member{name, write})
		}
	}
	add("name", func() { g.scalarOrText("add") })
	add("uri", func() { g.scalarOrText("file:///x y") })
	add("arguments", func() { g.value(0) })
	add("_meta", func() {
		g.object(g.spoiled([]member{{"progressToken", g.id}, {"x", func() { g.value(2) }}}, "progressToken", "x"))
	})
	add("x", func() { g.value(1) })
	return g.spoiled(list, "name", "uri", "arguments", "_meta")
}

// spoiled shuffles members, and may add one that is a member again, or nearly.
func (g *generator) spoiled(list []member, names ...string) []member {
	if g.hazard() {
		list = append(list, member{g.variant(pick(g, names...)), func() { g.scalarOrText("spoiled") }})
	}
	g.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// variant spells a name in a way that some readers may take for the name.
func (g *generator) variant(name string) string {
	switch g.IntN(8) {
	case 0:
		return strings.ToUpper(name)
	case 1:
		return strings.ToUpper(name[:1]) + name[1:]
	case 2:
		return strings.NewReplacer("s", "ſ", "k", "\u212a", "K", "\u212a").Replace(name)
	case 3:
		return name + "\x00"
	case 4:
		return " " + name
	case 5:
		return name + "\u200b"
	case 6:
		return name[:len(name)-1] + "\ufffd"
	}
	return name
}

func (g *generator) id() {
	switch {
	case g.hazard():
		g.b.WriteString(pick(g, "null", "true", "{}", "[1]", "01", "+1", "1.", ".5", "0x1", "NaN", "Infinity", "-", "1e", `"\ud800"`, `"\udc00\ud800"`, "'1'", "1_0"))
	case g.one(3):
		g.text(pick(g, "", "1", "g-1", "é", "😀", "a\"\\\n"))
	default:
		g.b.WriteString(pick(g, "0", "1", "-1", "-0", "1.0", "1e0", "1E+2", "1e400", "-1e-400", "9007199254740993", "0.1", "123456789012345678901234567890", "4.9e-324"))
	}
}

// scalarOrText writes what should be a string.
func (g *generator) scalarOrText(s string) {
	switch {
	case g.hazard():
		g.b.WriteString(pick(g, `"\ud800"`, `"a\udfff"`, `"\ud800\u0041"`, "\"\xed\xa0\x80\"", "\"\xff\"", "\"\x00\"", "\"\n\"", `"\x41"`, `"\u12"`, `"a`))
	case g.one(6):
		g.b.WriteString(pick(g, "null", "true", "false", "7", "1.0", "-0", "1e400", "{}", "[]"))
	default:
		g.text(s)
	}
}

// text writes a string, some of its characters escaped in one of the ways there are.
func (g *generator) text(s string) {
	const hex = "0123456789abcdef"
	g.b.WriteByte('"')
	for _, r := range s {
		switch {
		case r > 0xffff && g.one(2):
			r -= 0x10000
			for _, half := range []rune{0xd800 + r>>10, 0xdc00 + r&0x3ff} {
				g.b.WriteString(`\u` + string([]byte{hex[half>>12], hex[half>>8&15], hex[half>>4&15], hex[half&15]}))
			}
		case r < 0x20 || r <= 0xffff && g.one(8):
			escape := `\u` + string([]byte{hex[r>>12], hex[r>>8&15], hex[r>>4&15], hex[r&15]})
			g.b.WriteString(pick(g, escape, escape[:2]+strings.ToUpper(escape[2:])))
		case r == '"' || r == '\\' || r == '/' && g.one(3):
			g.b.WriteString(`\` + string(r))
		default:
			g.b.WriteRune(r)
		}
	}
	g.b.WriteByte('"')
}

// object writes members with space between them.
func (g *generator) object(list []member) {
	g.b.WriteByte('{')
	g.space()
	for i, m := range list {
		if i > 0 {
			g.b.WriteByte(',')
		}
		if g.hazard() {
			g.b.WriteString(pick(g, ",", "/**/", `"a"`, "\x00", "a:1,"))
		}
		g.space()
		g.text(m.name)
		g.space()
		g.b.WriteByte(':')
		g.space()
		m.write()
		g.space()
	}
	g.b.WriteByte('}')
}

// value writes anything, nested a few levels at most, or too deep.
func (g *generator) value(level int) {
	switch kind := g.IntN(8); {
	case g.hazard():
		depth := pick(g, 70, 200, 2000)
		g.b.WriteString(strings.Repeat(pick(g, "[", `{"a":`), depth) + "0")
	case kind < 2 && level < 4:
		g.b.WriteByte('[')
		for i := range g.IntN(4) {
			if i > 0 {
				g.b.WriteByte(',')
			}
			g.value(level + 1)
		}
		g.b.WriteByte(']')
	case kind < 5 && level < 4:
		var list []member
		for range g.IntN(4) { // equal names and lone halves are data here
			list = append(list, member{pick(g, "name", "id", "ID", "Method", "", "é", "\x00", "__proto__", "x"), func() { g.value(level + 1) }})
		}
		g.object(list)
	case kind == 5:
		g.b.WriteString(pick(g, `"\ud800"`, `"\udc00x"`, `"\u0000"`, "\"\u2028\x7f\"", "-0.0", "1e-400"))
	default:
		g.scalarOrText("déjà vu")
	}
}

func (g *generator) space() {
	switch {
	case g.hazard():
		g.b.WriteString(pick(g, "\v", "\f", "\u00a0", "\u2028", "\ufeff", "\u3000", "\x85", "\x00", "#", "/* */"))
	case g.one(4):
		g.b.WriteString(pick(g, " ", "\n", "\t", "\r\n", "  "))
	}
}
