package config

import (
	"fmt"
	"strings"
)

// Sampling says which model answers a server that asks for one in the middle of a call, where the client cannot.
type Sampling struct {
	// The model that answers, by its name or an alias.
	Model string `yaml:"model" check:"filled"`
	// Models that the server's hints may choose instead, as globs of their names: the first one whose name holds the hint. Left out, hints choose none.
	Hints []string `yaml:"hints" check:"filled" items:"some"`
	// How many tokens one answer may have, whatever the server asks for.
	MaxTokens int `yaml:"max_tokens" min:"1" max:"1048576"`
	// How often the server may ask in one call.
	Rounds int `yaml:"rounds" min:"1" max:"100"`
}

// defaultSampling has what sampling has before its keys are read.
func defaultSampling() Sampling { return Sampling{MaxTokens: 1024, Rounds: 8} }

// validateSampling checks which model answers an upstream, and that it can ask.
func (d *decoder) validateSampling(n *node, u *Upstream, models []Model) {
	path := join("upstreams", u.Name)
	sampling := n.first("sampling")
	if sampling == nil || sampling.kind != mapping {
		return
	}
	d.require(sampling, join(path, "sampling"), "model")
	if _, known := FindModel(models, u.Sampling.Model); known == nil && u.Sampling.Model != "" && !d.full() {
		d.fail(sampling.first("model").at, join(path, "sampling.model"), fmt.Sprintf("there is no model %q", u.Sampling.Model), modelHint(u.Sampling.Model, models))
	}
	if u.Era == "modern" {
		d.fail(sampling.at, join(path, "sampling"), "a server of the modern era asks its clients itself", "remove sampling, or era")
	}
}

// validateShownModels checks which models an endpoint shows.
func (d *decoder) validateShownModels(n *node, e *Endpoint, models []Model) {
	for i, pattern := range e.Models {
		if _, known := FindModel(models, pattern); known != nil || pattern == "" || strings.ContainsAny(pattern, "*?") || d.full() {
			continue
		}
		d.fail(n.first("models").items[i].at, fmt.Sprintf("%s.models[%d]", join("endpoints", e.Path), i), fmt.Sprintf("there is no model %q", pattern),
			modelHint(pattern, models))
	}
}

// modelHint says which models there are.
func modelHint(name string, models []Model) string {
	if len(models) == 0 {
		return "name it in models"
	}
	var names []string
	for i := range models {
		names = append(append(names, models[i].Name), models[i].Aliases...)
	}
	return knownHint(name, names)
}
