package config

import (
	"bytes"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Load reads a configuration file of Headgate: YAML, or JSON with comments when its name ends in .json or .jsonc. env looks
// variables up, as os.LookupEnv does. Relative paths of the file, and the default data directory, are joined to the file's folder.
//
// The error is [Problems] when the content is wrong: all problems at once, sorted by position. Otherwise the file could not be read.
// Load does not call CheckExposure, since flags may still change the addresses.
func Load(path string, env func(string) (string, bool)) (*Config, error) {
	return LoadNoting(path, env, func(string) {})
}

// LoadNoting is Load that tells note of each file it reads or tries to read, secret files too, whatever comes of it: who wants
// to know when the configuration changes has to look at all of them.
func LoadNoting(path string, env func(string) (string, bool), note func(file string)) (*Config, error) {
	note(path)
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return load(path, data, env, note)
}

// load is LoadNoting of a file's content.
func load(path string, data []byte, env func(string) (string, bool), note func(file string)) (*Config, error) {
	root, err := parse(path, data, isJSON(path))
	if err != nil {
		return nil, err
	}
	d := &decoder{dir: filepath.Dir(path), resolve: lookup(env), note: note}
	c := Default()
	c.Endpoints = nil
	d.decode(root, reflect.ValueOf(c).Elem(), rules{}, "")
	d.validate(root, c)
	if err := d.problems.asError(); err != nil {
		return nil, err
	}
	c.finish(root, d)
	return c, nil
}

// isJSON reports whether the name of a file says that it is JSON.
func isJSON(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".json" || ext == ".jsonc"
}

// readFile returns the content of a configuration.
func readFile(path string) ([]byte, error) {
	data, err := readBounded(path, maxFile)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	return data, nil
}

// parse reads the content of a file into a tree.
func parse(path string, data []byte, asJSON bool) (*node, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if p := checkText(path, data); p != nil {
		return nil, Problems{*p}
	}
	read := parseYAML
	if asJSON {
		read = parseJSON
	}
	root, p := read(path, data)
	if p != nil {
		return nil, Problems{*p}
	}
	return root, nil
}

// finish fills in what follows from the rest.
func (c *Config) finish(root *node, d *decoder) {
	c.DataDir = d.beside(c.DataDir)
	if c.Telemetry.Logs.File != nil {
		c.Telemetry.Logs.File.Path = d.beside(c.Telemetry.Logs.File.Path)
	}
	if c.Audit != nil {
		c.Audit.File = d.beside(c.Audit.File)
	}
	if c.TLS != nil {
		c.TLS.Cert, c.TLS.Key, c.TLS.ClientCA = d.beside(c.TLS.Cert), d.beside(c.TLS.Key), d.beside(c.TLS.ClientCA)
	}
	if !slices.ContainsFunc(c.Endpoints, func(e Endpoint) bool { return e.Path == DefaultEndpoint }) {
		c.Endpoints = slices.Insert(c.Endpoints, 0, defaultEndpoint(DefaultEndpoint))
	}
	c.origins = map[string]origin{}
	if n := root.first("listen"); n != nil {
		c.origins["listen"] = origin{value: c.Listen, at: n.at}
	}
	if n := root.first("admin").first("listen"); n != nil {
		c.origins["admin.listen"] = origin{value: c.Admin.Listen, at: n.at}
	}
	d.warnings.sort()
	c.Warnings = d.warnings
}

// Merge adds the upstreams and warnings of another configuration, so that a file and a client's file can be served together. A name
// that both have is a problem, and c is left as it was.
func (c *Config) Merge(other *Config) error {
	var found findings
	have := make(map[string]Position, len(c.Upstreams))
	for _, u := range c.Upstreams {
		have[u.Name] = u.Position
	}
	paths := make(map[string]Position, len(c.Endpoints))
	for _, e := range c.Endpoints {
		paths[e.own()] = e.Position
	}
	for _, u := range other.Upstreams {
		if at, ok := have[u.Name]; ok {
			found.fail(u.Position, u.Name, fmt.Sprintf("upstream %q stands in two files", u.Name), "rename one; the other is at "+at.String())
		}
		if at, ok := paths[u.Name]; ok {
			found.fail(u.Position, u.Name, fmt.Sprintf("upstream %q needs the path of an endpoint of another file", u.Name),
				"rename one; the other is at "+at.String())
		}
	}
	if err := found.problems.asError(); err != nil {
		return err
	}
	c.Upstreams = append(slices.Clone(c.Upstreams), other.Upstreams...)
	c.Warnings = append(slices.Clone(c.Warnings), other.Warnings...)
	return nil
}
