package telemetry_test

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Every name that a span can have stands in the documentation.
func TestNamesAreDocumented(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../docs/tracing.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"semconv.go", "../rpc/callrecord.go"} {
		tree, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		ast.Inspect(tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for _, value := range spec.Values {
				text, ok := value.(*ast.BasicLit)
				if !ok || text.Kind != gotoken.STRING {
					continue
				}
				name, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Error(err)
				}
				found++
				if !strings.Contains(string(docs), "`"+name) {
					t.Errorf("docs/tracing.md does not mention %s", name)
				}
			}
			return true
		})
		if found < 9 {
			t.Errorf("%s: %d names are found", file, found)
		}
	}
}
