package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Backend is one of the servers behind an upstream.
type Backend struct {
	// Position is where it stands in the file.
	Position Position `yaml:"-"`

	// The address of this server, http or https; of one behind a WebSocket also ws or wss. The headers and the transport are the upstream's.
	URL string `yaml:"url" check:"url"`
	// Its share of the calls, relative to the others'. Left out, it is 1.
	Weight int `yaml:"weight" min:"1" max:"1000"`
}

// Breaker says when a server that keeps failing is left alone.
type Breaker struct {
	// How many calls have to fail in a row. 0 is no breaker.
	Failures int `yaml:"failures" min:"0" max:"1000"`
	// How long it is left alone before one call is let through to try it.
	OpenFor time.Duration `yaml:"open_for" min:"100ms" max:"1h"`
}

// Health says how servers are asked whether they are well while nobody calls them.
type Health struct {
	// How often each is asked.
	Interval time.Duration `yaml:"interval" min:"100ms" max:"1h"`
	// How long the answer may take.
	Timeout time.Duration `yaml:"timeout" min:"10ms" max:"1m"`
}

// Replicas returns the servers behind the upstream: the one of url, or those of backends. A program has none.
func (u Upstream) Replicas() []Backend {
	if u.URL != "" {
		return []Backend{{URL: u.URL, Weight: 1}}
	}
	return u.Backends
}

// Only returns the configuration of the upstream as if one server were all that is behind it.
func (u Upstream) Only(b Backend) Upstream {
	u.URL, u.Backends = b.URL, nil
	return u
}

// validatePool checks the servers behind an upstream.
func (d *decoder) validatePool(n *node, u *Upstream, path string) {
	backends, at := n.first("backends"), join(path, "backends")
	switch balance := n.first("balance"); {
	case backends == nil && balance != nil:
		d.fail(balance.at, join(path, "balance"), "balance goes with backends, which is not set here", "remove it")
		return
	case backends == nil || backends.kind != list:
		return
	case len(backends.items) == 0:
		d.fail(backends.at, at, "backends is empty", "name at least one: [{url: https://…}]")
	}
	for i, item := range backends.items {
		if item.kind == mapping && item.first("url") == nil {
			d.fail(item.at, fmt.Sprintf("%s[%d]", at, i), "a backend has no url", "add url: https://…")
		}
	}
	first := map[string]Position{}
	for i, b := range u.Backends {
		field := fmt.Sprintf("%s[%d].url", at, i)
		if before, twice := first[b.URL]; twice && b.URL != "" {
			d.fail(b.Position, field, "this backend stands a second time", "keep one, with more weight; the first is at "+before.String())
		}
		first[b.URL] = b.Position
		if b.URL != "" && u.Backends[0].URL != "" && socketURL(b.URL) != socketURL(u.Backends[0].URL) {
			d.fail(b.Position, field, "some backends are WebSockets and others are not", "make two upstreams of them")
		}
	}
}

// socketURL reports whether an address is that of a WebSocket.
func socketURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && strings.HasPrefix(u.Scheme, "ws")
}
