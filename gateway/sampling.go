package gateway

import (
	"slices"
	"strings"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/router/sampling"
	"github.com/headgate/headgate/rpc"
)

// sampled has a model answer what an upstream asks of clients that have none, where its configuration says so.
func (g *Gateway) sampled(n *generation, m *member) rpc.Handler {
	s := n.upstream(m.Name()).Sampling
	if s == nil {
		return m
	}
	return sampling.New(sampling.Options{
		Model: s.Model, MaxTokens: s.MaxTokens, Rounds: s.Rounds, Invoke: g.invoke, Log: g.logOf("sampling"),
		Choose: func(hint string) string { return hinted(n.cfg.Models, s.Hints, hint) },
	}).Before(m)
}

// hinted returns the model that a server's hint leads to: the first in the order of the configuration whose name holds the hint and fits one of the
// patterns (MCP 2025-11-25, Sampling, Model Preferences); or the one that a glob serves by this very name. It is empty if there is none.
func hinted(models []config.Model, patterns []string, hint string) string {
	fits := func(name string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return config.Match(p, name) })
	}
	for i := range models {
		m := &models[i]
		if m.Disabled == "" && !m.Glob() && fits(m.Name) && strings.Contains(strings.ToLower(m.Name), strings.ToLower(hint)) {
			return m.Name
		}
	}
	if canonical, m := config.FindModel(models, hint); m != nil && m.Disabled == "" && fits(canonical) {
		return canonical
	}
	return ""
}
