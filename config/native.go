package config

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Variable is an environment variable that a file written by Native needs.
type Variable struct {
	Name string
	// Value is the secret that stood in the imported file; empty when a variable stood there already.
	Value Secret
	// Field is where it is used, such as upstreams.github.headers.Authorization.
	Field string
}

// Native writes the upstreams of configurations that Import made as a file of our own. Secrets that stood in it become variables,
// which are returned with those that were variables before, sorted by name. Upstreams that are switched off are left out; a comment says so.
func Native(c *Config) ([]byte, []Variable) {
	w := &nativeWriter{template: c.template, variables: map[string]Variable{}}
	w.out.WriteString("version: 1\nupstreams:\n")
	for _, u := range c.Upstreams {
		w.collect(u)
	}
	written := false
	for _, u := range c.Upstreams {
		if u.Disabled != "" {
			fmt.Fprintf(&w.out, "  # %s is left out: %s\n", u.Name, oneLine(u.Disabled))
			continue
		}
		w.upstream(u)
		written = true
	}
	if !written {
		w.out.WriteString("  {}\n")
	}
	return w.out.Bytes(), slices.SortedFunc(maps.Values(w.variables), func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
}

// nativeWriter writes one file.
type nativeWriter struct {
	out       bytes.Buffer
	template  bool // strings are templates already
	variables map[string]Variable
}

// source returns a string as it must stand in the file.
func (w *nativeWriter) source(value string) string {
	if w.template {
		return value
	}
	return escape(value)
}

// collect notes the variables that an upstream refers to, before names are made for secrets.
func (w *nativeWriter) collect(u Upstream) {
	if !w.template || u.Disabled != "" {
		return
	}
	path := join("upstreams", u.Name)
	w.refer(u.Command, join(path, "command"))
	w.refer(u.URL, join(path, "url"))
	w.refer(u.Dir, join(path, "cwd"))
	for i, arg := range u.Args {
		w.refer(arg, fmt.Sprintf("%s.args[%d]", path, i))
	}
	for key, value := range u.Env {
		w.refer(value, join(path, "env."+key))
	}
	for key, value := range u.Headers {
		w.refer(value.Reveal(), join(path, "headers."+key))
	}
}

// refer notes the variables of one value that have no default.
func (w *nativeWriter) refer(value, field string) {
	t, _, err := parseTemplate(value)
	if err != nil {
		return // it is refused when the file is loaded
	}
	for _, s := range t {
		if s.ref != nil && !s.ref.optional {
			if _, ok := w.variables[s.ref.name]; !ok {
				w.variables[s.ref.name] = Variable{Name: s.ref.name, Field: field}
			}
		}
	}
}

// upstream writes one upstream.
func (w *nativeWriter) upstream(u Upstream) {
	path := join("upstreams", u.Name)
	fmt.Fprintf(&w.out, "  %s:\n", quoteYAML(u.Name))
	if u.Command != "" {
		w.line("command", quoteYAML(w.source(u.Command)))
	}
	if len(u.Args) > 0 {
		w.line("args", flowList(w.secureArgs(u.Args, u.Name, path)))
	}
	w.mapping("env", u.Env, func(key, value string) string {
		return notFile(w.secure(w.source(value), key, key, u.Name, join(path, "env."+key)))
	})
	if u.Dir != "" {
		w.line("cwd", quoteYAML(w.source(u.Dir)))
	}
	if u.URL != "" {
		w.line("url", quoteYAML(w.secureURL(w.source(u.URL), u.Name, join(path, "url"))))
	}
	if u.Transport == "sse" || u.Transport == "ws" && !strings.HasPrefix(u.URL, "ws") {
		w.line("transport", u.Transport)
	}
	headers := make(map[string]string, len(u.Headers))
	for key, value := range u.Headers {
		headers[key] = value.Reveal()
	}
	w.mapping("headers", headers, func(key, value string) string {
		return notFile(w.secureHeader(w.source(value), key, u.Name, join(path, "headers."+key)))
	})
	if u.DisplayName != "" {
		w.line("display_name", quoteYAML(w.source(u.DisplayName)))
	}
	initial := defaultUpstream("", Position{})
	if u.Era != initial.Era {
		w.line("era", u.Era)
	}
	if u.Timeout != initial.Timeout {
		w.line("timeout", u.Timeout.String())
	}
	if u.MaxTimeout != max(initial.MaxTimeout, u.Timeout) {
		w.line("max_timeout", u.MaxTimeout.String())
	}
	w.filter(u.Tools)
}

// filter writes the tools that exist.
func (w *nativeWriter) filter(f Filter) {
	if len(f.Allow)+len(f.Deny) == 0 {
		return
	}
	w.out.WriteString("    tools:\n")
	for _, part := range []struct {
		key   string
		globs []string
	}{{"allow", f.Allow}, {"deny", f.Deny}} {
		if len(part.globs) == 0 {
			continue
		}
		sources := make([]string, len(part.globs))
		for i, g := range part.globs {
			sources[i] = w.source(g)
		}
		fmt.Fprintf(&w.out, "      %s: %s\n", part.key, flowList(sources))
	}
}

// mapping writes keys and values, sorted by key.
func (w *nativeWriter) mapping(name string, values map[string]string, secure func(key, value string) string) {
	if len(values) == 0 {
		return
	}
	fmt.Fprintf(&w.out, "    %s:\n", name)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&w.out, "      %s: %s\n", quoteYAML(key), quoteYAML(secure(key, values[key])))
	}
}

func (w *nativeWriter) line(key, value string) {
	fmt.Fprintf(&w.out, "    %s: %s\n", key, value)
}

func flowList(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quoteYAML(v)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// otherWords are plain words that YAML readers take for something else than text.
var otherWords = []string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}

// quoteYAML returns text as a YAML scalar: as it stands when every reader takes it for text, otherwise in double quotes, whose
// escapes are those of Go.
func quoteYAML(s string) string {
	word := strings.TrimPrefix(strings.TrimPrefix(s, "-"), "-")
	plain := word != "" && isNameByte(word[0], true) && word[0] != '_' && !slices.Contains(otherWords, strings.ToLower(s))
	for i := range len(word) {
		plain = plain && (isNameByte(word[i], false) || strings.IndexByte("./-", word[i]) >= 0)
	}
	if plain {
		return s
	}
	return strconv.Quote(s)
}

// oneLine makes text safe for a comment.
func oneLine(s string) string {
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}
