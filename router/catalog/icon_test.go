package catalog

import (
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// Icons are fetched by clients, and from another origin than their server's: only those that carry their data or
// come by HTTPS are left, in each list, for each era, and as they were written.
func TestCorner5_25_IconsOfOtherSchemesAreDropped(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ icons, want string }{
		"data and https stay": {
			`,"icons":[{"src":"https://x/a.png", "sizes":["48x48"]},{"src":"data:image/png;base64,AA=="}]`,
			`,"icons":[{"src":"https://x/a.png", "sizes":["48x48"]},{"src":"data:image/png;base64,AA=="}]`,
		},
		"in capitals":           {`,"icons":[{"src":"HTTPS://x/a"},{"src":"Data:,"}]`, `,"icons":[{"src":"HTTPS://x/a"},{"src":"Data:,"}]`},
		"others go":             {`,"icons":[{"src":"http://x/a"},{"src":"https://x/a"},{"src":"javascript:alert(1)"}]`, `,"icons":[{"src":"https://x/a"}]`},
		"relative":              {`,"icons":[{"src":"/a.png"},{"src":"a.png"},{"src":"//x/a.png"},{"src":"https:a.png"}]`, ``},
		"files and the like":    {`,"icons":[{"src":"file:///a"},{"src":"blob:x"},{"src":"ftp://x/a"},{"src":""}]`, ``},
		"space before it":       {`,"icons":[{"src":" javascript:x"},{"src":"\thttps://x/a"}]`, ``},
		"an escape in it":       {`,"icons":[{"src":"java\u0073cript:x"},{"src":"http\u0073://x/a"}]`, `,"icons":[{"src":"http\u0073://x/a"}]`},
		"a name with escapes":   {`,"\u0069cons":[{"src":"http://x/a"}]`, ``},
		"entries that are none": {`,"icons":[1,null,"https://x",{"sizes":[]},{"src":7},{"src":"https://x","src":"http://x"}]`, ``},
		"not a list":            {`,"icons":{"src":"https://x/a"}`, ``},
		"an empty list":         {`,"icons":[]`, `,"icons":[]`},
		"none":                  {``, ``},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entry := func(l list, icons string) string {
				if l == toolList {
					return `{"` + l.traits().key + `":"a:b","inputSchema":{"type":"object"}` + icons + `,"x":1.0}`
				}
				return `{"` + l.traits().key + `":"a:b"` + icons + `,"x":1.0}`
			}
			up := &lister{others: map[string]string{}}
			for l := range listCount {
				text := `{"` + l.traits().member + `":[` + entry(l, tt.icons) + `]}`
				up.pages = append(up.pages, text) // the first is that of tools
				up.others[l.traits().method] = text
			}
			c := newCatalog(t, named{"u", up})
			for l := range listCount {
				for _, revision := range []rpc.Revision{mcp.LatestLegacy, mcp.LatestModern} {
					call := listCall("")
					call.Method, _ = mcp.Lookup(l.traits().method, revision)
					traits, _ := mcp.Of(revision)
					call.Client = rpc.Client{Revision: revision, Era: traits.Era}
					text, err := c.List(t.Context(), &View{Endpoint: "/mcp/u", Upstreams: []string{"u"}, Single: true, Allows: all}, call)
					if want := entry(l, tt.want); err != nil || !strings.Contains(string(text), "["+want+"]") {
						t.Errorf("%s: %s, %v; want %s", l.traits().noun, text, err, want)
					}
				}
			}
		})
	}
}
