package infer

import (
	"embed"
	"fmt"
)

//go:embed schema/*.json
var schemas embed.FS

// Schema returns the JSON Schema (draft 2020-12) of a method's params, with that of its result in $defs; false for a
// method that is not in the table. Whoever gets it may change it.
func Schema(method string) ([]byte, bool) {
	if _, known := methods[method]; !known {
		return nil, false
	}
	text, err := schemas.ReadFile(fmt.Sprintf("schema/%s.json", method))
	return text, err == nil
}
