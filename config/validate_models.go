package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxModel is the longest name of a model.
const maxModel = 128

// checkModel allows what servers call models: such as llama3:70b or meta-llama/Llama-3.1-8B-Instruct.
func checkModel(s string) error {
	const special = "-_.:/@+"
	for i := range len(s) {
		if c := s[i]; !isNameByte(c, false) && strings.IndexByte(special, c) < 0 {
			return errors.New(`must be letters, digits and - _ . : / @ +`)
		}
	}
	if s == "" || len(s) > maxModel {
		return fmt.Errorf("must have 1 to %d characters", maxModel)
	}
	return nil
}

// checkModels allows the name of a model, and * and ? for names that fit.
func checkModels(s string) error {
	if s == "" {
		return fmt.Errorf("must have 1 to %d characters", maxModel)
	}
	return checkModel(strings.NewReplacer("*", "x", "?", "x").Replace(s))
}

// checkLabel allows what a label may be called.
func checkLabel(s string) error {
	if err := checkModel(s); err != nil || len(s) > 63 {
		return errors.New(`must be 1 to 63 letters, digits and - _ . : / @ +`)
	}
	return nil
}

// validateModels checks what models are called, and what is behind them.
func (d *decoder) validateModels(list *node, c *Config) {
	nodes, names := list.index(), map[string]Position{}
	for i := range c.Models {
		names[c.Models[i].Name] = c.Models[i].Position
	}
	for i := range c.Models {
		m := &c.Models[i]
		n, path := nodes[m.Name], join("models", m.Name)
		for _, before := range c.Models[:i] {
			if before.Glob() && m.Glob() && Match(before.Name, m.Name) {
				d.warn(m.Position, path, fmt.Sprintf("no call gets here: %q fits the same names", before.Name), "put the more particular one first")
			}
		}
		if i := slices.IndexFunc(c.Upstreams, func(u Upstream) bool { return u.Name == m.Name }); i >= 0 {
			d.fail(m.Position, path, "an upstream has the same name, so that nobody could tell which one is meant", "choose another one; the upstream is at "+c.Upstreams[i].Position.String())
		}
		if n.kind != mapping && n.kind != null {
			continue // which was said
		}
		d.validateAliases(n, m, path, names)
		d.validateModelBackends(n, m, path, c.Upstreams)
		d.validateModelTimes(n, m, path)
		if n.first("price").first("cached") == nil {
			m.Price.Cached = m.Price.Input
		}
		d.validateQueue(n.first("queue"), &m.Queue, join(path, "queue"), bounded(m), "max_in_flight: N to each backend")
	}
}

// bounded reports whether something bounds how many calls of a model run.
func bounded(m *Model) bool {
	return m.MaxInFlight > 0 || !slices.ContainsFunc(m.Backends, func(b ModelBackend) bool { return b.MaxInFlight == 0 })
}

// validateAliases refuses names that mean two models.
func (d *decoder) validateAliases(n *node, m *Model, path string, names map[string]Position) {
	if m.Glob() && len(m.Aliases) > 0 {
		d.fail(n.first("aliases").at, join(path, "aliases"), "a glob has no aliases: nobody knows which model is meant", "name the model in an entry of its own")
		return
	}
	for i, alias := range m.Aliases {
		at := n.first("aliases").items[i].at
		if before, twice := names[alias]; twice && alias != "" {
			d.fail(at, fmt.Sprintf("%s.aliases[%d]", path, i), fmt.Sprintf("%q is the name of a model already", alias), "choose another one; the first is at "+before.String())
			continue
		}
		names[alias] = at
	}
}

// validateModelBackends checks that each backend has what its kind needs.
func (d *decoder) validateModelBackends(n *node, m *Model, path string, upstreams []Upstream) {
	list, at := n.first("backends"), join(path, "backends")
	switch {
	case list == nil || list.kind == null:
		d.fail(m.Position, path, fmt.Sprintf("model %q has no backends", m.Name), "add backends: [{kind: openai, url: http://…/v1}]")
		return
	case len(list.items) == 0:
		if !d.broken(at) {
			d.fail(list.at, at, "backends is empty", "name at least one: [{kind: openai, url: http://…/v1}]")
		}
		return
	case len(list.items) != len(m.Backends):
		return // one is no mapping
	}
	first := map[string]Position{}
	for i := range m.Backends {
		b, field := &m.Backends[i], fmt.Sprintf("%s[%d]", at, i)
		d.validateModelBackend(list.items[i], b, field, upstreams)
		if before, twice := first[b.Key()]; twice && b.Kind != "" {
			d.fail(b.Position, field, "this backend stands a second time", "keep one, with more weight; the first is at "+before.String())
		}
		first[b.Key()] = b.Position
	}
	if off := m.Backends[0].Disabled; off != "" && len(m.Enabled()) == 0 {
		m.Disabled = off
	}
}

// Keys that only backends of some kinds have.
var kindKeys = map[string][]string{
	"url": {"openai", "ollama", "rpc"}, "headers": {"openai", "ollama", "rpc"}, "upstream": {"mcp"}, "tool": {"mcp"},
	"stream_usage": {"openai"}, "prompts": {"openai"}, "keep_alive": {"ollama"}, "model": {"openai", "ollama", "rpc"},
}

func (d *decoder) validateModelBackend(n *node, b *ModelBackend, path string, upstreams []Upstream) {
	if n.first("kind") == nil {
		d.fail(b.Position, path, "a backend has no kind", "add kind: openai, ollama, rpc or mcp")
	}
	if b.Kind == "" {
		return
	}
	for _, key := range n.members {
		if kinds, some := kindKeys[key.key]; some && !slices.Contains(kinds, b.Kind) {
			d.fail(key.at, join(path, key.key), fmt.Sprintf("%s does not go with kind %s", key.key, b.Kind), "remove it")
		}
	}
	d.headerTwice(n.first("headers"), join(path, "headers"))
	if b.Kind == "mcp" {
		d.validateToolBackend(n, b, path, upstreams)
		return
	}
	if n.first("url") == nil {
		d.fail(b.Position, path, fmt.Sprintf("a backend of kind %s needs url", b.Kind), "add url: http://…")
	}
	if socketURL(b.URL) && b.Kind != "rpc" {
		d.fail(n.first("url").at, join(path, "url"), fmt.Sprintf("url of kind %s must begin with http:// or https://", b.Kind), "")
	}
}

// validateToolBackend checks which tool a backend of kind mcp is.
func (d *decoder) validateToolBackend(n *node, b *ModelBackend, path string, upstreams []Upstream) {
	for _, key := range []string{"upstream", "tool"} {
		if n.first(key) == nil {
			d.fail(b.Position, path, "a backend of kind mcp needs "+key, "add "+key+": NAME")
		}
	}
	i := slices.IndexFunc(upstreams, func(u Upstream) bool { return u.Name == b.Upstream })
	switch {
	case b.Upstream == "":
	case i < 0 && !d.full():
		names := make([]string, len(upstreams))
		for i := range upstreams {
			names[i] = upstreams[i].Name
		}
		d.fail(n.first("upstream").at, join(path, "upstream"), fmt.Sprintf("there is no upstream %q", b.Upstream), knownHint(b.Upstream, names))
	case i >= 0 && upstreams[i].Disabled != "":
		d.disableBackend(b, n.first("upstream").at, join(path, "upstream"), fmt.Sprintf("the upstream %q is", b.Upstream), "")
	}
}

// validateModelTimes checks the order of the deadlines, and what a glob cannot have.
func (d *decoder) validateModelTimes(n *node, m *Model, path string) {
	times, at := n.first("deadlines"), join(path, "deadlines")
	for _, part := range []struct {
		key   string
		short bool
	}{{"first_token", m.Deadlines.FirstToken > m.Deadlines.Total}, {"between_tokens", m.Deadlines.BetweenTokens > m.Deadlines.Total}} {
		if part.short && times.first("total") != nil {
			d.fail(times.first("total").at, join(at, "total"), "total is shorter than "+part.key, "make it longer, or "+part.key+" shorter")
			return
		}
	}
	m.Deadlines.Total = max(m.Deadlines.Total, m.Deadlines.FirstToken, m.Deadlines.BetweenTokens)
	if !m.Glob() {
		return
	}
	warm, at := n.first("warm_up"), join(path, "warm_up")
	if m.WarmUp.At == "start" {
		d.fail(warm.first("at").at, join(at, "at"), "a glob names no model that could be loaded at the start", "name the model in an entry of its own")
	}
	if m.WarmUp.Every > 0 {
		d.fail(warm.first("every").at, join(at, "every"), "a glob names no model that could be kept loaded", "name the model in an entry of its own")
	}
}
