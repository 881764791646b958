// Package config is the file format of Headgate: the structs, every default, the strict decoding of the
// project's own YAML (or JSON) with a position for each problem, the reading of MCP clients' own files, and
// the JSON Schema made from the structs.
//
// It starts nothing and dials nothing: a [Config] is a value, finished when [Load] or [LoadClient] returns.
// What reads a file is bounded in size, depth and work, because a configuration may come from another hand.
//
// Text goes through three steps, and never back: bytes become a tree of nodes with positions, the tree is decoded into the
// structs by their tags, and ${VAR} is replaced in single string values on the way. A value that was put in is
// not looked at again, so that the environment can neither add structure to a file nor name further variables.
//
// Callers are package gateway, which turns a Config into running parts, and the commands.
package config

//go:generate go test -run ^TestSchemaIsCurrent$ . -update
