package config

import (
	_ "embed"
	"slices"
)

//go:embed headgate.schema.json
var schema []byte

// Schema returns the JSON Schema (draft-07) of the file format, for editors. It is made from the structs; Load checks more than it can say.
func Schema() []byte { return slices.Clone(schema) }
