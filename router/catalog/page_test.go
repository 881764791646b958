package catalog

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
)

func many(n int) *lister {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("t%05d", i))
	}
	return listing(all...)
}

func TestCorner5_3_PagesHoldEveryToolOnce(t *testing.T) {
	t.Parallel()
	c := newCatalog(t, named{"u", many(2500)})
	seen := map[string]bool{}
	params, pages := "", 0
	for {
		text, err := c.List(t.Context(), merged(Always), listCall(params))
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, n := range namesIn(t, text) {
			if seen[n] {
				t.Errorf("%s stands twice", n)
			}
			seen[n] = true
		}
		var result struct{ NextCursor *string }
		if err := json.Unmarshal(text, &result); err != nil {
			t.Fatal(err)
		}
		if result.NextCursor == nil {
			break
		}
		params = fmt.Sprintf(`{"cursor":%q}`, *result.NextCursor)
	}
	if len(seen) != 2500 || pages != 3 {
		t.Errorf("%d tools on %d pages, want 2500 on 3", len(seen), pages)
	}
}

// firstCursor returns the cursor of the second page.
func firstCursor(t *testing.T, c *Catalog, call *rpc.Call) string {
	t.Helper()
	text, err := c.List(t.Context(), merged(Always), call)
	if err != nil {
		t.Fatal(err)
	}
	var result struct{ NextCursor string }
	if err := json.Unmarshal(text, &result); err != nil || result.NextCursor == "" {
		t.Fatalf("no cursor: %v", err)
	}
	return result.NextCursor
}

// Corner case 5.35. Another method's and a stale list's cursors are in tests of their own.
func TestT21_CursorsThatAreNotOursAreRefused(t *testing.T) {
	t.Parallel()
	up := many(1500)
	c := newCatalog(t, named{"u", up})
	good := firstCursor(t, c, listCall(""))
	refused := func(params string, change func(*rpc.Call)) {
		t.Helper()
		call := listCall(params)
		if change != nil {
			change(call)
		}
		if _, err := c.List(t.Context(), merged(Always), call); rpc.AsError(err).Code != rpc.InvalidParams {
			t.Errorf("%.60s: %v, want invalid_params", params, err)
		}
	}
	for _, text := range []string{`""`, `"x"`, `7`, `{}`, `"` + base64.RawURLEncoding.EncodeToString(make([]byte, 64)) + `"`} {
		refused(`{"cursor":`+text+`}`, nil)
	}
	for i := range len(good) {
		flipped := []byte(good)
		flipped[i] ^= 1
		text, err := json.Marshal(string(flipped))
		if err != nil {
			t.Fatal(err)
		}
		refused(`{"cursor":`+string(text)+`}`, nil)
	}
	before := up.asked()
	rng := rand.New(rand.NewPCG(21, 35))
	for range 10_000 {
		text, err := json.Marshal(mangled(rng, good))
		if err != nil {
			t.Fatal(err)
		}
		refused(`{"cursor":`+string(text)+`}`, nil)
	}
	if n := up.asked() - before; n != 0 {
		t.Errorf("mangled cursors reached the upstream %d times", n)
	}
	params := fmt.Sprintf(`{"cursor":%q}`, good)
	refused(params, func(call *rpc.Call) { call.Principal.User = "somebody else" })
	refused(params, func(call *rpc.Call) { call.Endpoint = "/mcp/dev" })
	if _, err := c.List(t.Context(), merged(Always), listCall(params)); err != nil {
		t.Errorf("its owner cannot use it: %v", err)
	}
}

// mangled returns a text that was a cursor before bytes of it were changed, put in, taken out or put elsewhere.
func mangled(rng *rand.Rand, cursor string) string {
	text := []byte(cursor)
	for range 1 + rng.IntN(4) {
		at := rng.IntN(len(text))
		switch rng.IntN(4) {
		case 0:
			text[at] ^= byte(1 + rng.IntN(127))
		case 1:
			text = slices.Insert(text, at, byte(33+rng.IntN(90)))
		case 2:
			text = slices.Delete(text, at, min(len(text), at+1+rng.IntN(8)))
		case 3:
			text = append(slices.Clone(text[at:]), text[:at]...)
		}
		if len(text) == 0 {
			return ""
		}
	}
	if string(text) == cursor {
		return cursor + "A"
	}
	return string(text)
}

// A list may be shared between principals only if all that it is made of may be.
func TestCorner5_29_AListIsAsPrivateAsItsMostPrivatePart(t *testing.T) {
	t.Parallel()
	page := func(hints string) string { return strings.TrimSuffix(tools("x"), "}") + hints + "}" }
	const shared = `,"ttlMs":60000,"cacheScope":"public"`
	for name, tt := range map[string]struct {
		one, two, want string
	}{
		"both public":      {page(shared), page(shared), `"cacheScope":"public"`},
		"one private":      {page(shared), page(`,"ttlMs":60000,"cacheScope":"private"`), `"cacheScope":"private"`},
		"one says nothing": {page(shared), page(``), `"cacheScope":"private"`},
		"an odd scope":     {page(shared), page(`,"ttlMs":60000,"cacheScope":"PUBLIC"`), `"cacheScope":"private"`},
	} {
		c := newCatalog(t, named{"one", &lister{pages: []string{tt.one}}}, named{"two", &lister{pages: []string{tt.two}}})
		call := listCall("")
		call.Client.Era = rpc.Modern
		if text, err := c.List(t.Context(), merged(Always), call); err != nil || !strings.Contains(string(text), tt.want) {
			t.Errorf("%s: %s, %v; want %s", name, text, err, tt.want)
		}
	}
	two := &lister{pages: []string{`{"tools":[],"cacheScope":"public","nextCursor":"page-1"}`, `{"tools":[],"cacheScope":"private"}`}}
	c := newCatalog(t, named{"two", two})
	call := listCall("")
	call.Client.Era = rpc.Modern
	if text, err := c.List(t.Context(), merged(Always), call); err != nil || !strings.Contains(string(text), `"cacheScope":"private"`) {
		t.Errorf("pages that differ: %s, %v", text, err)
	}
}

// An upstream that gets one credential for all lists the same to all: it is asked once, whoever lists.
func TestCorner5_29_PrincipalsBehindOneCredentialSeeOneList(t *testing.T) {
	t.Parallel()
	up := listing("x")
	c := newCatalog(t, named{"u", up})
	for _, user := range []string{"alice", "bob", ""} {
		call := listCall("")
		call.Principal.User = user
		if got := names(t, c, merged(Always), call); len(got) != 1 {
			t.Errorf("%q sees %q", user, got)
		}
	}
	if n := up.asked(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A cursor is good wherever the same list is shown; elsewhere the client lists again.
func TestCorner5_31_CursorsAreGoodOnEveryReplica(t *testing.T) {
	t.Parallel()
	a, b, other := newCatalog(t, named{"u", many(1500)}), newCatalog(t, named{"u", many(1500)}), newCatalog(t, named{"u", many(1501)})
	b.keys, other.keys = a.keys, a.keys
	params := fmt.Sprintf(`{"cursor":%q}`, firstCursor(t, a, listCall("")))
	if got := names(t, b, merged(Always), listCall(params)); len(got) != 500 || got[0] != "u__t01000" {
		t.Errorf("%d tools from %s", len(got), got[0])
	}
	if _, err := other.List(t.Context(), merged(Always), listCall(params)); rpc.AsError(err).Code != rpc.InvalidParams {
		t.Errorf("of another list: %v", err)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(`""`)
	f.Add(`"c2VhbA"`)
	f.Add(`null`)
	f.Add(`[1]`)
	f.Fuzz(func(t *testing.T, cursor string) {
		if !json.Valid([]byte(cursor)) {
			return
		}
		m, err := rpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":`+cursor+`}}`), rpc.Limits{})
		if err != nil {
			return
		}
		up := listing("a")
		c := newCatalog(t, named{"u", up})
		c.Warm(t.Context())
		before := up.asked()
		call := listCall("")
		call.Message = m
		if _, err := c.List(t.Context(), merged(Always), call); err == nil && cursor != "null" {
			if text, ok := m.Get("cursor"); ok && string(text) != "null" {
				t.Errorf("cursor %s was taken", cursor)
			}
		}
		if up.asked() != before {
			t.Errorf("cursor %s reached the upstream", cursor)
		}
	})
}
