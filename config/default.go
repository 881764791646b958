package config

import "time"

// DefaultEndpoint is the path that always exists.
const DefaultEndpoint = "/mcp"

// Default returns the configuration of an empty file, except that relative paths are not yet joined to a file's folder.
func Default() *Config {
	return &Config{
		Version:   1,
		Listen:    "127.0.0.1:8970",
		Admin:     Admin{Listen: "127.0.0.1:8971"},
		DataDir:   "./headgate-data",
		Endpoints: []Endpoint{defaultEndpoint(DefaultEndpoint)},

		LimitRefusals: "http",
		Pins:          Pins{Mode: "warn"},
		Bounds: Bounds{
			Body:               4 * MiB,
			Result:             16 * MiB,
			Depth:              64,
			InFlight:           16384,
			PerSessionInFlight: 128,
			Connections:        16384,
			SlowReader:         30 * time.Second,
		},
		Jobs:      defaultJobs(),
		Overload:  Overload{ShedAt: 92, RefuseAt: 95},
		Sessions:  Sessions{Idle: 30 * time.Minute, Max: 24 * time.Hour, History: History{Turns: 100, Bytes: 256 * KiB}},
		Telemetry: Telemetry{Logs: Logs{Level: "info", Format: "auto", Access: "failed", Sample: 100}, Metrics: Metrics{Prometheus: true}},
		Shutdown:  Shutdown{Grace: 2 * time.Second, Drain: 30 * time.Second},
	}
}

// defaultUpstream has what a named upstream has before its keys are read. The transport follows from its keys.
func defaultUpstream(name string, at Position) Upstream {
	return Upstream{
		Name: name, Position: at, Balance: "least-loaded", SlowStart: 10 * time.Second, Era: "auto", Timeout: time.Minute, MaxTimeout: time.Hour,
		Queue: defaultQueue(),
	}
}

// defaultBreaker has what a breaker has before its keys are read.
func defaultBreaker() Breaker { return Breaker{Failures: 5, OpenFor: 5 * time.Second} }

// defaultHealth has what the question whether servers are well has before its keys are read.
func defaultHealth() Health { return Health{Interval: 10 * time.Second, Timeout: 2 * time.Second} }

// defaultIntrospection has what a server that is asked about tokens has before its keys are read.
func defaultIntrospection() Introspection {
	return Introspection{Cache: 30 * time.Second, Claims: defaultClaims()}
}

// defaultCache has what the cache has before its keys are read.
func defaultCache() Cache { return Cache{MaxSize: 256 * MiB} }

// defaultLogFile has what a file for the log has before its keys are read.
func defaultLogFile() LogFile { return LogFile{Rotate: "daily", Keep: 7} }

// defaultEndpoint has what an endpoint has before its keys are read.
func defaultEndpoint(path string) Endpoint {
	return Endpoint{Path: path, Prefix: "always"}
}
