package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// planned are keys of the format, by struct, that this version does not implement yet. They are refused by name: to accept a rule without
// enforcing it would be worse than not to know it.
var planned = map[string][]string{
	"Config": {
		"state",
	},
}

// unknown reports a key that a struct does not have: planned, misspelt, of another program's file, or none of these.
func (d *decoder) unknown(m member, structName string, fields []reflect.StructField, path string) {
	if slices.Contains(planned[structName], m.key) {
		d.fail(m.at, path, fmt.Sprintf("this version of Headgate does not implement %s", path), "remove it; it would not be enforced")
		return
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Tag.Get("yaml")
	}
	hint := "known here: " + strings.Join(names, ", ")
	switch near := Nearest(m.key, names); {
	case near != "":
		hint = fmt.Sprintf("did you mean %q?", near)
	case structName == "Config" && slices.Contains(clientRoots, m.key):
		hint = "this is a client's file: pass it with --mcp-config, or convert it with headgate import"
	}
	d.fail(m.at, path, fmt.Sprintf("unknown key %q", m.key), hint)
}

// notInEnum reports a word that the field does not take.
func (d *decoder) notInEnum(n *node, r rules, path string) {
	key := lastKey(path)
	switch {
	case key == "transport" && n.text == "stdio":
		d.fail(n.at, path, "stdio is not named: it follows from command", "remove transport")
	default:
		hint := ""
		if near := Nearest(n.text, r.enum); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		d.fail(n.at, path, fmt.Sprintf("%s must be one of: %s", key, strings.Join(r.enum, ", ")), hint)
	}
}

// Nearest returns the candidate that name was most likely meant to be, or nothing. It is for advice only.
func Nearest(name string, candidates []string) string {
	if len(name) > 2*maxName {
		return ""
	}
	const some = 1000 // more are not worth the time
	best, fewest := "", 3
	for _, c := range candidates[:min(len(candidates), some)] {
		if n := edits(plain(name), plain(c)); n < fewest && n <= (len(c)+1)/3 {
			best, fewest = c, n
		}
	}
	return best
}

// plain makes spellings equal that mean the same word: allowedOrigins, allowed-origins, allowed_origins.
func plain(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

// edits is the number of characters to insert, remove, replace or swap with a neighbour to make a into b.
func edits(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := [3][]int{make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(x); i++ {
		before, above, row := rows[(i-1)%3], rows[i%3], rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return rows[(len(x)+1)%3][len(y)]
}
