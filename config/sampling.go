package config

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

// validateSampling checks what goes together with the models that answer an upstream.
func (d *decoder) validateSampling(n *node, u *Upstream, path string) {
	sampling := n.first("sampling")
	if sampling == nil || sampling.kind != mapping {
		return
	}
	d.require(sampling, join(path, "sampling"), "model")
	if u.Era == "modern" {
		d.fail(sampling.at, join(path, "sampling"), "a server of the modern era asks its clients itself", "remove sampling, or era")
	}
}
