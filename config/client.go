package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// ClientOptions say where the values come from that a client's file only names.
type ClientOptions struct {
	// Env looks environment variables up, as os.LookupEnv does.
	Env func(name string) (string, bool)
	// Inputs asks a person for ${input:ID} when the environment has no HEADGATE_INPUT_ID. It may be nil.
	Inputs func(id, description string, password bool) (string, bool)
	// Note is told of each file that is read, or tried to be read. It may be nil.
	Note func(file string)
}

// LoadClient reads the file in which an MCP client keeps its servers, unchanged: JSON with comments and trailing commas, the servers
// below mcpServers, servers (with inputs), mcp.servers, or alone. What is wrong with one server switches off that one and becomes
// a warning; what is unknown is a warning. The error is [Problems] when nothing can be read from the content.
//
// The result has the defaults for everything else and keeps nothing on disk.
func LoadClient(path string, env func(string) (string, bool)) (*Config, error) {
	return LoadClientWith(path, ClientOptions{Env: env})
}

// LoadClientWith is LoadClient with a way to ask for inputs.
func LoadClientWith(path string, options ClientOptions) (*Config, error) {
	return readClient(path, &clientReader{env: options.Env, ask: options.Inputs, note: options.Note})
}

// Import reads a client's file like LoadClient but leaves variables in place, written as our own files write them. The result is
// for Native alone: no server may be started from it.
func Import(path string, env func(string) (string, bool)) (*Config, error) {
	return readClient(path, &clientReader{env: env, template: true})
}

// clientRoots are the keys below which clients keep their servers.
var clientRoots = []string{"mcpServers", "servers", "mcp.servers", "mcp"}

// clientReader reads one file.
type clientReader struct {
	env       func(string) (string, bool)
	ask       func(id, description string, password bool) (string, bool)
	note      func(file string)
	template  bool // keep variables, for Import
	dir       string
	workspace string
	inputs    map[string]input
	upstreams []Upstream
	names     map[string]int // how often a name was wanted
	findings
}

// input is an entry of inputs: a value that the client asks a person for.
type input struct {
	description, fallback string
	password              bool
}

func readClient(path string, r *clientReader) (*Config, error) {
	if r.note != nil {
		r.note(path)
	}
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return r.read(path, data)
}

// read reads the content of a file.
func (r *clientReader) read(path string, data []byte) (*Config, error) {
	root, err := parse(path, data, true)
	if problems := Problems(nil); errors.As(err, &problems) && !isJSON(path) {
		problems[0].Hint = "clients keep their servers in JSON; a configuration of Headgate is passed with -c"
	}
	if err != nil {
		return nil, err
	}
	if err := r.locate(path); err != nil {
		return nil, err
	}
	r.names, r.inputs = map[string]int{}, map[string]input{}
	r.readInputs(root.last("inputs"))
	r.readInputs(root.last("mcp").last("inputs"))
	found := false
	for _, key := range clientRoots {
		servers := root.last(key)
		if key == "mcp" {
			key, servers = "mcp.servers", servers.last("servers")
		}
		if servers != nil && servers.kind == mapping {
			found = true
			r.servers(servers, key)
		}
	}
	if !found && !isBare(root) {
		return nil, Problems{noServers(root)}
	}
	if !found {
		r.servers(root, "")
	}
	c := Default()
	c.DataDir = ""
	c.Upstreams, c.template = r.upstreams, r.template
	r.warnings.sort()
	c.Warnings = r.warnings
	return c, nil
}

// locate finds the folders that the file's paths refer to. Editors keep their file one level below the workspace.
func (r *clientReader) locate(path string) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	r.dir = filepath.Dir(absolute)
	r.workspace = r.dir
	if base := filepath.Base(r.dir); base == ".vscode" || base == ".cursor" {
		r.workspace = filepath.Dir(r.dir)
	}
	return nil
}

// isBare reports whether the whole file is a mapping of servers.
func isBare(root *node) bool {
	for _, m := range root.members {
		if m.value.last("command") == nil && m.value.last("url") == nil && m.value.last("httpUrl") == nil && m.value.last("serverUrl") == nil {
			return false
		}
	}
	return len(root.members) > 0
}

// noServers says that a file has nothing to offer.
func noServers(root *node) Problem {
	p := Problem{
		Position: root.at,
		Message:  "no MCP servers are in this file",
		Hint:     "a client's file has them below mcpServers, servers or mcp.servers",
	}
	if root.last("upstreams") != nil {
		p.Hint = "this looks like a configuration of Headgate: pass it with -c"
	}
	return p
}

// readInputs reads the list of inputs; n may be nil.
func (r *clientReader) readInputs(n *node) {
	if n == nil {
		return
	}
	for _, item := range n.items {
		id, description, fallback, password := item.last("id"), item.last("description"), item.last("default"), item.last("password")
		if id == nil || id.kind != text {
			continue
		}
		in := input{password: password != nil && password.text == "true"}
		if description != nil {
			in.description = description.text
		}
		if fallback != nil {
			in.fallback = fallback.text
		}
		r.inputs[id.text] = in
	}
}

// servers reads each server of a mapping. The last of two equal keys holds, as it does for the client.
func (r *clientReader) servers(n *node, path string) {
	members, overridden := n.settle()
	for _, m := range overridden {
		r.warn(m.at, join(path, m.key), fmt.Sprintf("server %q stands again below; only the last one is used", m.key), "remove one")
	}
	for _, m := range members {
		r.server(m, join(path, m.key))
	}
}

// server reads one server.
func (r *clientReader) server(m member, path string) {
	name := r.name(m.key)
	if name != m.key {
		r.warn(m.at, path, fmt.Sprintf("server %q is called %q here", m.key, name), `names are letters, digits, "-" and single "_"`)
	}
	s := &clientServer{clientReader: r, upstream: defaultUpstream(name, m.at)}
	s.read(m.value, path)
	r.upstreams = append(r.upstreams, s.upstream)
}

// name makes a name that is allowed and not yet taken.
func (r *clientReader) name(from string) string {
	whole := from
	if checkName(from) != nil {
		whole = cleanName(from)
	}
	name := whole
	for r.names[name] > 0 {
		r.names[whole]++
		suffix := fmt.Sprintf("-%d", r.names[whole])
		name = strings.TrimRight(whole[:min(len(whole), maxName-len(suffix))], "-_") + suffix
	}
	r.names[name] = 1
	return name
}

// cleanName makes an allowed name: what is not allowed becomes a hyphen, of which there is one between two words.
func cleanName(from string) string {
	var b strings.Builder
	separate := false
	for i := range len(from) {
		c := from[i]
		if !isNameByte(c, false) || c == '_' {
			separate = b.Len() > 0
			continue
		}
		if separate {
			b.WriteByte('-')
			separate = false
		}
		b.WriteByte(c)
	}
	name := b.String()
	if name = strings.TrimRight(name[:min(len(name), maxName)], "-"); name == "" {
		return "server"
	}
	return name
}
