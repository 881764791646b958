package generator

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Era is the protocol era that a Fleet speaks.
type Era string

// The eras: Legacy opens a session per connection and path, Modern says everything with each call.
const (
	Legacy Era = "legacy"
	Modern Era = "modern"
)

// The revisions that are spoken in each era.
const (
	legacyRevision = "2025-11-25"
	modernRevision = "2026-07-28"
)

// Route is one tool at one URL.
type Route struct {
	// URL is the MCP endpoint: http://host:port/path.
	URL string
	// Tool is the name to call there.
	Tool string
}

// Config says what a Fleet is.
type Config struct {
	// Routes are called in turn. Connections are spread over the addresses in them; each calls those at its own address.
	Routes []Route
	// Era is the era to speak.
	Era Era
	// Connections is the number of connections, each with one call in flight.
	Connections int
	// Payload is the size of the text in each call's arguments, and in the answer, in bytes of JSON. Part of it are
	// escapes and letters of two bytes, as in any text.
	Payload int
	// ID is the JSON-RPC id of every call, as JSON. Empty counts up, as a number on even connections and as a string on odd
	// ones, from 1 on all of them, so that equal ids meet at the server.
	ID string
	// Header is sent with every request beside what MCP demands.
	Header http.Header
	// Timeout is how long an answer may take; zero means 10 s. It is kept to within half of it.
	Timeout time.Duration
}

// endpoint is a route taken apart.
type endpoint struct {
	address, path, tool string
}

// endpoints checks the configuration and returns its routes by address, in order of first appearance.
func (c *Config) endpoints() ([][]endpoint, error) {
	if c.Era != Legacy && c.Era != Modern {
		return nil, fmt.Errorf("era %q: must be legacy or modern", c.Era)
	}
	if c.Connections < 1 || c.Payload < 0 || len(c.Routes) == 0 {
		return nil, errors.New("a fleet needs a connection, a route and a payload of no negative size")
	}
	var all [][]endpoint
	for _, route := range c.Routes {
		u, err := url.Parse(route.URL)
		if err != nil {
			return nil, fmt.Errorf("route: %w", err)
		}
		if u.Scheme != "http" || u.Port() == "" {
			return nil, fmt.Errorf("route %q: must be http://host:port/path", route.URL)
		}
		if strings.ContainsFunc(route.Tool, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			return nil, fmt.Errorf("tool %q: only names of plain ASCII are supported", route.Tool)
		}
		e := endpoint{address: u.Host, path: u.RequestURI(), tool: route.Tool}
		at := slices.IndexFunc(all, func(group []endpoint) bool { return group[0].address == e.address })
		if at < 0 {
			all = append(all, []endpoint{e})
			continue
		}
		all[at] = append(all[at], e)
	}
	return all, nil
}
