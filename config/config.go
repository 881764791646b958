package config

import (
	"cmp"
	"log/slog"
	"time"
)

// Config is one whole configuration. It is read-only once it is in use; then any number of goroutines may read it.
//
// The tags are the format. yaml names the key, enum the allowed words, min and max the range, check a rule of
// the table checks, key the rule for the keys of a mapping, secret what a value may hold beside plain text, scalar:"any" that a number
// may stand for its own text. The comments of the fields become the descriptions of the JSON Schema.
type Config struct {
	// The version of this format. There is one: 1.
	Version int `yaml:"version" min:"1" max:"1"`
	// Where clients connect: HOST:PORT. Without auth only a loopback address is accepted.
	Listen string `yaml:"listen" check:"address"`
	// The certificate to serve HTTPS with. Without it the listener speaks plain HTTP.
	TLS *TLS `yaml:"tls"`
	// Proxies in front of the gateway, as addresses or networks (10.0.0.0/8): their X-Forwarded-For says who the client is. Nobody else's counts.
	TrustedProxies []string `yaml:"trusted_proxies" check:"network"`
	// Origins of web pages that may call, such as https://app.example.com. Loopback origins are allowed on loopback anyway.
	AllowedOrigins []string `yaml:"allowed_origins" check:"origin"`
	// Who may call. Left out, everybody on this machine may do everything.
	Auth *Auth `yaml:"auth"`
	// The listener for operators.
	Admin Admin `yaml:"admin"`
	// The folder for what must outlive the process, such as sealing keys. Relative to this file.
	DataDir string `yaml:"data_dir" check:"filled"`
	// The MCP servers behind the gateway, by name. The name is what clients see before "__" in front of each tool.
	Upstreams []Upstream `yaml:"upstreams" key:"upstream name"`
	// Paths for clients. /mcp (all upstreams) and /mcp/UPSTREAM (one, nothing renamed) exist without being named here.
	Endpoints []Endpoint `yaml:"endpoints" key:"path"`
	// The models that clients may invoke on /rpc, by name or by a glob for several.
	Models []Model `yaml:"models" key:"model name"`
	// Who serves calls instead of the owner of the name, and how. The first rule that matches a call holds.
	Routes []RouteRule `yaml:"routes"`
	// What callers may do, of what their scopes allow. Lists are filtered by the same rules.
	Access []AccessRule `yaml:"access"`
	// How much callers may use.
	Limits []Limit `yaml:"limits"`
	// Whose calls get a slot first where calls wait for an upstream. Who is in no rule is in band default with weight 1.
	Priorities []Priority `yaml:"priorities"`
	// How a refusal by a limit is sent: http with status 429, or json-rpc with status 200, for clients that read no body beside another status.
	// The error in the body is the same.
	LimitRefusals string `yaml:"limit_refusals" enum:"http,json-rpc"`
	// What is answered again without asking the server. Without it nothing is but lists.
	Cache *Cache `yaml:"cache"`
	// The log of who called what. Without it none is written.
	Audit *Audit `yaml:"audit"`
	// What clients submit to have it done later.
	Jobs Jobs `yaml:"jobs"`
	// What follows when a server tells models something else than was approved.
	Pins Pins `yaml:"pins"`
	// How much of anything is taken in.
	Bounds Bounds `yaml:"bounds"`
	// When calls are refused for want of memory.
	Overload Overload `yaml:"overload"`
	// Sessions of clients that speak a revision with sessions (2025-11-25 and older).
	Sessions Sessions `yaml:"sessions"`
	// What the gateway tells about itself.
	Telemetry Telemetry `yaml:"telemetry"`
	// How the process ends.
	Shutdown Shutdown `yaml:"shutdown"`

	// Warnings are what was wrong without being fatal, sorted by position.
	Warnings []Problem `yaml:"-"`

	origins  map[string]origin // where the listen addresses were written, by field
	template bool              // strings still hold ${VAR}: made by Import, for Native
}

// TLS names the files of certificates. They are read by the listener, and again when they change.
type TLS struct {
	// The certificate chain, PEM. Relative to this file.
	Cert string `yaml:"cert" check:"filled"`
	// Its private key, PEM. Relative to this file.
	Key string `yaml:"key" check:"filled"`
	// The certificates, PEM, of who issues certificates to clients. With auth a client may present one, and auth.certificates says who it
	// then is; without auth every client must. Relative to this file.
	ClientCA string `yaml:"client_ca" check:"filled"`
}

// Upstream is one MCP server: a child process when Command is set, a remote server when URL is set.
type Upstream struct {
	// Name is the key in the file.
	Name string `yaml:"-"`
	// Position is where the key is.
	Position Position `yaml:"-"`

	// The program to run. It speaks MCP over its standard input and output; no shell is involved.
	Command string `yaml:"command" check:"filled"`
	// The program's arguments.
	Args []string `yaml:"args" scalar:"any" check:"text"`
	// Variables added to the program's environment. A value file:PATH is read from that file.
	Env map[string]string `yaml:"env" key:"variable" scalar:"any" check:"text" secret:"file"`
	// The program's working directory. Relative to this file.
	Dir string `yaml:"cwd" check:"filled"`

	// The address of a remote server, http or https; of one behind a WebSocket also ws or wss.
	URL string `yaml:"url" check:"url"`
	// Several servers that do the same, instead of one url.
	Backends []Backend `yaml:"backends"`
	// How one of them is chosen for a call: least-loaded takes the less busy one of two at random; weighted follows the weights, whatever the
	// load; consistent-hash keeps a caller at one server as long as that is not much busier than the others.
	Balance string `yaml:"balance" enum:"least-loaded,weighted,consistent-hash"`
	// When a server that keeps failing is left alone. Left out, that is after 5 failures in a row: for 5s where there are several servers, and
	// for 1s where there is one. A program has none unless it is set here, because its restarts are paced.
	Breaker *Breaker `yaml:"breaker"`
	// Servers are asked whether they are well while nobody calls them. Left out, only calls show it.
	Health *Health `yaml:"health"`
	// How long a server that is new or well again gets fewer calls than its share, when there are several. 0s is no such time.
	SlowStart time.Duration `yaml:"slow_start" min:"0s" max:"10m"`
	// How a remote server is spoken to: Streamable HTTP, HTTP+SSE as of 2024-11-05, or a WebSocket with one message a frame. Left out, it is
	// ws for ws and wss addresses, and http for others. A program is always spoken to over stdio.
	Transport string `yaml:"transport" enum:"http,sse,ws"`
	// Headers sent to a remote server. A value file:PATH is read from that file; an empty value is refused.
	Headers map[string]Secret `yaml:"headers" key:"header" check:"header value" secret:"file,required"`

	// What users are told the server is called when it asks them something. Left out, it is the upstream's name.
	DisplayName string `yaml:"display_name" check:"display name"`
	// Which family of protocol revisions the server speaks: legacy has initialize (2025-11-25 and older), modern has not; auto asks it.
	Era string `yaml:"era" enum:"auto,legacy,modern"`
	// Which of the server's tools exist at all, by the server's own names.
	Tools Filter `yaml:"tools"`
	// What follows when this server tells models something else than was approved, if not what the whole file says.
	Pins Pins `yaml:"pins"`
	// How long the server may be silent in a call. Progress and whatever else it says in the call begins the time anew.
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"24h"`
	// How long one call may take in all, whatever the server says. Left out, it is an hour, or timeout where that is more.
	MaxTimeout time.Duration `yaml:"max_timeout" min:"100ms" max:"168h"`

	// How many calls the server is sent at a time, in all. Further calls wait in the queue. Left out, or 0, there is no limit.
	MaxInFlight int `yaml:"max_in_flight" min:"0" max:"1048576"`
	// The calls that wait where max_in_flight are running.
	Queue Queue `yaml:"queue"`
	// How often a call that failed is made again. Left out, 3 times on another backend where there are several, and not at all where there is one.
	Retry *Retry `yaml:"retry"`

	// Which model answers the server when it asks for one in a call (sampling/createMessage), where the client cannot. Left out, such a question is
	// refused. Of the legacy era alone.
	Sampling *Sampling `yaml:"sampling"`

	// Disabled says why this upstream is switched off; empty when it is not.
	Disabled string `yaml:"-"`
	// Off says that the file itself switches the upstream off: nothing is wrong with it.
	Off bool `yaml:"-"`
}

// Title returns what users are told the server is called.
func (u Upstream) Title() string { return cmp.Or(u.DisplayName, u.Name) }

// PinMode returns what follows when an upstream tells models something else than was approved.
func (c *Config) PinMode(u Upstream) string { return cmp.Or(u.Pins.Mode, c.Pins.Mode) }

// LogValue returns the name and the position only: environments, arguments and URLs may hold secrets.
func (u Upstream) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", u.Name), slog.String("at", u.Position.String()))
}

// Endpoint is a path that clients use.
type Endpoint struct {
	// Path is the key in the file: /mcp or /mcp/NAME.
	Path string `yaml:"-"`
	// Position is where the key is; zero for an endpoint that no file names.
	Position Position `yaml:"-"`

	// Whether tools are shown as UPSTREAM__name. UPSTREAM__name is accepted in any case.
	Prefix string `yaml:"prefix" enum:"always,on-collision,never"`
	// The upstreams behind this path, by name. Left out, all of them; or none, where models are named.
	Upstreams []string `yaml:"upstreams" check:"filled" items:"some"`
	// The models that this path shows as tools called invoke_MODEL, as globs of their names. What a glob of models serves is named here in full.
	Models []string `yaml:"models" check:"filled" items:"some"`
	// Which tools this path shows, by canonical names (UPSTREAM__name).
	Tools Filter `yaml:"tools"`
}

// Pins is what follows when what a server tells models (its tools, prompts and instructions) is not what was approved. What it lists
// first is trusted.
type Pins struct {
	// observe logs it; warn logs it as a warning and shows it in the server's state; quarantine hides what is new or changed until it is
	// approved; block lets nothing of the server be called until then.
	Mode string `yaml:"mode" enum:"observe,warn,quarantine,block"`
}

// Bounds are limits on what comes from outside.
type Bounds struct {
	// The largest request body.
	Body Size `yaml:"body" min:"1KiB" max:"1GiB"`
	// The largest result of an upstream.
	Result Size `yaml:"result" min:"1KiB" max:"1GiB"`
	// The deepest nesting of a message.
	Depth int `yaml:"depth" min:"8" max:"512"`
	// Calls that may be in flight in all. One more is refused with HTTP status 503.
	InFlight int `yaml:"in_flight" min:"1" max:"1048576"`
	// Calls that one session, or one connection that carries many messages, may have in flight. One more is refused with HTTP status 429.
	PerSessionInFlight int `yaml:"per_session_in_flight" min:"1" max:"65536"`
	// Connections of clients that carry many messages (WebSockets, HTTP+SSE) and are open at a time. One more is refused with HTTP status 503.
	Connections int `yaml:"connections" min:"1" max:"1048576"`
	// How long a client may take nothing from a stream before it is cut off.
	SlowReader time.Duration `yaml:"slow_reader" min:"1s" max:"1h"`
}

// Sessions are the life times of legacy sessions, and of those of the inference dialect.
type Sessions struct {
	// A session ends when it was not used for this long.
	Idle time.Duration `yaml:"idle" min:"1s" max:"720h"`
	// A session ends at this age.
	Max time.Duration `yaml:"max" min:"1s" max:"8760h"`
	// What is remembered where a client wants its conversation with models to go on.
	History History `yaml:"history"`
}

// Telemetry is what the gateway tells about itself.
type Telemetry struct {
	// The log.
	Logs Logs `yaml:"logs"`
	// What is counted.
	Metrics Metrics `yaml:"metrics"`
	// Traces of calls. Without it none are made, and what clients send of theirs passes.
	Traces *Traces `yaml:"traces"`
}

// Shutdown is how the process ends.
type Shutdown struct {
	// How long the process goes on after it reports that it is not ready, so that balancers notice.
	Grace time.Duration `yaml:"grace" min:"0s" max:"10m"`
	// How long calls in flight may go on after that.
	Drain time.Duration `yaml:"drain" min:"0s" max:"1h"`
}

// origin is a value as a file wrote it, so that a check made after command-line flags were applied can say where it
// came from, or that it did not come from the file.
type origin struct {
	value string
	at    Position
}
