package policy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// What is admitted is counted by the engine's time alone, which nobody sets: these files ask no clock on the wall. A refusal says in
// the client's terms when trying again makes sense, and that decides nothing.
func TestT35_LimitsAskNoClock(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"limit*.go", "budget*.go", "watch*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v %v", pattern, found, err)
		}
		files = append(files, found...)
	}
	for _, path := range files {
		if path == "limit_refusal.go" || strings.HasSuffix(path, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && s.Sel.Name == "Now" {
				t.Errorf("%s asks time.%s", fset.Position(s.Pos()), s.Sel.Name)
			}
			return true
		})
	}
}
