package config

import (
	"fmt"
	"slices"
	"strings"
)

// validate checks what concerns several fields. root is the tree that c came from, for the positions.
func (d *decoder) validate(root *node, c *Config) {
	upstreams := root.first("upstreams").index()
	names := make([]string, len(c.Upstreams))
	for i := range c.Upstreams {
		u := &c.Upstreams[i]
		names[i] = u.Name
		if n := upstreams[u.Name]; n.kind == mapping || n.kind == null {
			d.validateUpstream(n, u)
			d.validateSampling(n, u, c.Models)
		}
	}
	d.titleTwice(c.Upstreams, upstreams)
	endpoints := root.first("endpoints").index()
	for i := range c.Endpoints {
		d.validateEndpoint(endpoints[c.Endpoints[i].Path], &c.Endpoints[i], names, upstreams)
		d.validateShownModels(endpoints[c.Endpoints[i].Path], &c.Endpoints[i], c.Models)
	}
	if t := root.first("tls"); t != nil && t.kind == mapping {
		for _, key := range []string{"cert", "key"} {
			if t.first(key) == nil {
				d.fail(t.at, "tls."+key, "tls needs both cert and key", "add "+key+": PATH")
			}
		}
	}
	d.validateModels(root.first("models"), c)
	d.validateRoutes(root.first("routes"), c.Routes, names, c.Models)
	d.validateAuth(root, c)
	if n := root.first("telemetry").first("traces"); n != nil && n.kind == mapping {
		d.require(n, "telemetry.traces", "otlp")
		d.headerTwice(n.first("headers"), "telemetry.traces.headers")
	}
	if n := root.first("audit"); n != nil && n.kind == mapping {
		d.require(n, "audit", "file")
	}
	if n := root.first("telemetry").first("logs").first("file"); n != nil && n.kind == mapping {
		d.require(n, "telemetry.logs.file", "path")
	}
	d.validateLimits(root.first("limits"), c.Limits)
	d.validateMetered(root.first("limits"), c.Limits, root.first("models"), c.Models)
	d.validateCachedModels(root.first("cache").first("models"), c)
	d.validatePriorities(root.first("priorities"), c.Priorities)
	d.validateOverload(root.first("overload"), c.Overload)
	d.validateJobs(root.first("jobs"), c.Jobs)
	if c.Admin.Listen == c.Listen && !strings.HasSuffix(c.Listen, ":0") {
		d.fail(firstOf(root, root.first("admin").first("listen"), root.first("listen")), "admin.listen",
			"admin.listen is the same address as listen", "choose another port")
	}
	if c.Sessions.Idle > c.Sessions.Max {
		d.fail(firstOf(root, root.first("sessions").first("idle"), root.first("sessions").first("max")), "sessions.idle",
			fmt.Sprintf("sessions.idle (%s) is longer than sessions.max (%s)", c.Sessions.Idle, c.Sessions.Max), "make idle shorter or max longer")
	}
}

// firstOf returns the position of the first value that the file has, or of the whole file.
func firstOf(root *node, values ...*node) Position {
	for _, v := range values {
		if v != nil {
			return v.at
		}
	}
	return root.at
}

// Keys that one kind of upstream has and the other has not.
var (
	programKeys = []string{"args", "env", "cwd"}
	remoteKeys  = []string{"headers", "transport", "health"}
)

// validateUpstream checks that the keys make one program or one remote server.
func (d *decoder) validateUpstream(n *node, u *Upstream) {
	path := join("upstreams", u.Name)
	command, url, backends := n.first("command"), n.first("url"), n.first("backends")
	switch {
	case url != nil && backends != nil:
		d.fail(backends.at, path, fmt.Sprintf("upstream %q has both url and backends", u.Name), "keep one: url is a pool of one server")
	case command != nil && url != nil:
		d.fail(url.at, path, fmt.Sprintf("upstream %q has both command and url", u.Name),
			"keep one: command starts a program, url names a remote server")
	case command != nil && backends != nil:
		d.fail(backends.at, path, fmt.Sprintf("upstream %q has both command and backends", u.Name),
			"keep one: command starts a program, backends name remote servers")
	case command != nil:
		d.misplaced(n, remoteKeys, path, "url")
	case url != nil || backends != nil:
		d.misplaced(n, programKeys, path, "command")
		d.settleTransport(n, u, path)
	default:
		d.fail(u.Position, path, fmt.Sprintf("upstream %q has neither command nor url", u.Name),
			"add command: PROGRAM or url: https://…")
	}
	d.validatePool(n, u, path)
	switch most := n.first("max_timeout"); {
	case most == nil:
		u.MaxTimeout = max(u.MaxTimeout, u.Timeout)
	case 0 < u.MaxTimeout && u.MaxTimeout < u.Timeout: // not one that was refused
		d.fail(most.at, join(path, "max_timeout"), fmt.Sprintf("max_timeout (%s) is shorter than timeout (%s)", u.MaxTimeout, u.Timeout),
			"make timeout shorter or max_timeout longer")
	}
	d.validateQueue(n.first("queue"), &u.Queue, join(path, "queue"), u.MaxInFlight > 0, "max_in_flight: N")
	u.Dir = d.beside(u.Dir)
	d.headerTwice(n.first("headers"), join(path, "headers"))
}

// settleTransport infers the transport of a remote server from its address, and checks that they, and the era, go together.
func (d *decoder) settleTransport(n *node, u *Upstream, path string) {
	replicas := u.Replicas()
	socket := len(replicas) > 0 && socketURL(replicas[0].URL)
	switch {
	case u.Transport == "" && socket:
		u.Transport = "ws"
	case u.Transport == "":
		u.Transport = "http"
	case socket && u.Transport != "ws":
		d.fail(firstOf(n, n.first("transport")), join(path, "transport"), fmt.Sprintf("transport %s does not go with a WebSocket's url", u.Transport),
			"remove transport, or write the url with http:// or https://")
	case u.Transport == "sse" && u.Era == "modern":
		d.fail(firstOf(n, n.first("era")), join(path, "era"), "transport sse is of the legacy era", "remove era, or choose transport http")
	}
}

// titleTwice reports display names by which users could take one server for another.
func (d *decoder) titleTwice(all []Upstream, nodes map[string]*node) {
	for i, u := range all {
		for j, other := range all {
			if u.DisplayName == "" || i == j || other.DisplayName != "" && i < j {
				continue
			}
			if strings.EqualFold(u.DisplayName, other.Title()) || strings.EqualFold(u.DisplayName, other.Name) {
				n := nodes[u.Name]
				d.fail(firstOf(n, n.first("display_name")), join(join("upstreams", u.Name), "display_name"),
					fmt.Sprintf("display_name is what the upstream %q is called", other.Name), "choose another one")
				break
			}
		}
	}
}

// misplaced reports keys that belong to the other kind of upstream.
func (d *decoder) misplaced(n *node, keys []string, path, owner string) {
	for _, m := range n.members {
		if slices.Contains(keys, m.key) {
			d.fail(m.at, join(path, m.key), fmt.Sprintf("%s goes with %s, which is not set here", m.key, owner), "remove it")
		}
	}
}

// headerTwice reports header names that differ in case only, since they are one header.
func (d *decoder) headerTwice(headers *node, path string) {
	if headers == nil {
		return
	}
	seen := map[string]string{}
	for _, m := range headers.members {
		lower := strings.ToLower(m.key)
		if before, ok := seen[lower]; ok && before != m.key {
			d.fail(m.at, join(path, m.key), fmt.Sprintf("header %s stands a second time, as %s", m.key, before),
				"keep one: case does not matter in header names")
		}
		seen[lower] = m.key
	}
}

// validateEndpoint checks references. A path with the name of an upstream stands for that upstream whether it is listed or not: the file
// can choose what is shown of it, but not make it something else.
func (d *decoder) validateEndpoint(n *node, e *Endpoint, names []string, upstreams map[string]*node) {
	path := join("endpoints", e.Path)
	for i, name := range e.Upstreams {
		if _, ok := upstreams[name]; !ok && name != "" && !d.full() {
			d.fail(n.first("upstreams").items[i].at, fmt.Sprintf("%s.upstreams[%d]", path, i),
				fmt.Sprintf("there is no upstream %q", name), knownHint(name, names))
		}
	}
	own := e.own()
	if _, ok := upstreams[own]; !ok {
		return
	}
	if len(e.Models) > 0 {
		d.fail(firstOf(n, n.first("models")), path+".models", fmt.Sprintf("path %s belongs to the upstream %q alone", e.Path, own), "choose another path")
	}
	if len(e.Upstreams) == 0 {
		e.Upstreams = []string{own}
	}
	if len(e.Upstreams) != 1 || e.Upstreams[0] != own {
		d.fail(e.Position, path, fmt.Sprintf("path %s belongs to the upstream %q alone", e.Path, own), "choose another path")
	}
	if n.first("prefix") == nil {
		e.Prefix = "never"
	}
}

// knownHint suggests a name, or lists some.
func knownHint(name string, known []string) string {
	if near := Nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	if len(known) == 0 {
		return "there is none at all"
	}
	const some = 10
	hint := "known are: " + strings.Join(known[:min(len(known), some)], ", ")
	if len(known) > some {
		hint += ", …"
	}
	return hint
}

// own returns NAME of /mcp/NAME.
func (e *Endpoint) own() string { return strings.TrimPrefix(e.Path, DefaultEndpoint+"/") }
