package catalog

import (
	"slices"
	"strings"
	"testing"
)

func TestTemplatesMatchWhatTheyExpandTo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		template string
		fits     []string
		not      []string
	}{
		{"test://t/{id}/data", []string{"test://t/1/data", "test://t/%20/data"}, []string{"test://t//data", "test://t/1/2/data", "test://t/1/data/x", "xtest://t/1/data"}},
		{"file:///{+path}", []string{"file:///a", "file:///a/b?c#d"}, []string{"file://", "file:///"}},
		{"db://x{/table,row}", []string{"db://x", "db://x/t", "db://x/t/r"}, []string{"db://x/t/r/c"}},
		{"db://x{/path*}", []string{"db://x/a/b/c"}, []string{"db://xa"}},
		{"q://x{?a,b}", []string{"q://x", "q://x?a=1&b=2"}, []string{"q://x/y"}},
		{"q://x?a=1{&b}", []string{"q://x?a=1", "q://x?a=1&b=2"}, []string{"q://x?a=12#"}},
		{"f://x{.ext}{#part}", []string{"f://x", "f://x.txt", "f://x.txt#p"}, []string{"f://x/y"}},
		{"m://x{;a,b}", []string{"m://x;a=1;b=2"}, []string{"m://x/a"}},
		{"lit://(.*)[a]", []string{"lit://(.*)[a]"}, []string{"lit://xa"}},
	} {
		p := compile(tt.template)
		if p == nil {
			t.Errorf("%s cannot be read", tt.template)
			continue
		}
		for _, uri := range tt.fits {
			if !p.matches(uri) {
				t.Errorf("%s does not fit %s", uri, tt.template)
			}
		}
		for _, uri := range tt.not {
			if p.matches(uri) {
				t.Errorf("%s fits %s", uri, tt.template)
			}
		}
	}
}

func TestTemplatesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, template := range []string{"x://{", "x://{}", "x://{a", strings.Repeat("x", maxTemplate+1), strings.Repeat("{a}", maxExpressions+1)} {
		if compile(template) != nil {
			t.Errorf("%.40s is taken for a template", template)
		}
	}
}

func TestCorner5_6_TheMoreSpecificTemplateComesFirst(t *testing.T) {
	t.Parallel()
	order := []string{"file:///docs/{name}", "file:///docs/{+x}", "file:///{p}", "file:///{+p}", "{+all}"}
	got := slices.Clone(order)
	slices.Reverse(got)
	slices.SortStableFunc(got, func(a, b string) int { return compile(a).compare(compile(b)) })
	if !slices.Equal(got, order) {
		t.Errorf("order %q, want %q", got, order)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("test://{id}", "test://1")
	f.Add("{+a}{+b}{+c}", "aaaaaaaa")
	f.Add("{/a*}{?b}", "/x/y?z")
	f.Fuzz(func(t *testing.T, template, uri string) {
		p := compile(template)
		if p == nil {
			return
		}
		if p.matches(uri) && !strings.HasPrefix(uri, p.head) {
			t.Errorf("%q fits %q", uri, template)
		}
		if !strings.Contains(template, "{") && p.matches(uri) != (uri == template) {
			t.Errorf("%q without expressions is not compared with %q", template, uri)
		}
	})
}
