package config

import (
	"cmp"
	"time"
)

// ModelBackend is one of the servers that run a model.
type ModelBackend struct {
	// Position is where it stands in the file.
	Position Position `yaml:"-"`

	// What it speaks: openai is the HTTP API that most engines offer (vLLM, SGLang, llama.cpp, Ollama, hosted ones); ollama is Ollama's own; rpc
	// is this gateway's, over HTTP or a WebSocket, for a gateway behind a gateway; mcp is a tool of an upstream that takes {prompt}.
	Kind string `yaml:"kind" enum:"openai,ollama,rpc,mcp"`
	// Its address: of openai up to and with /v1, of ollama without a path, of rpc with /rpc, which also may be ws or wss. Not of mcp.
	URL string `yaml:"url" check:"url"`
	// What the model is called there. Left out, as it is here.
	Model string `yaml:"model" check:"model"`
	// Headers sent to it. A value file:PATH is read from that file; an empty value is refused.
	Headers map[string]Secret `yaml:"headers" key:"header" check:"header value" secret:"file,required"`
	// Of mcp: the upstream.
	Upstream string `yaml:"upstream" check:"filled"`
	// Of mcp: its tool, by the upstream's own name.
	Tool string `yaml:"tool" check:"filled"`

	// How many calls it is sent at a time. Left out, or 0, there is no limit.
	MaxInFlight int `yaml:"max_in_flight" min:"0" max:"65536"`
	// Its share of the calls, relative to the others'. Left out, it is 1.
	Weight int `yaml:"weight" min:"1" max:"1000"`
	// Of openai: whether it understands stream_options.include_usage. Without it the usage of streams is an estimate unless the server says it unasked.
	StreamUsage bool `yaml:"stream_usage"`
	// Of openai: where a prompt that is no list of messages goes: as the message of a user to /chat/completions, or as it is to /completions.
	Prompts string `yaml:"prompts" enum:"chat,completions"`
	// Of ollama: how long the model stays loaded after a call. Left out, the server decides, and it is taken to be five minutes.
	KeepAlive time.Duration `yaml:"keep_alive" min:"0s" max:"8760h"`

	// Disabled says why the backend is switched off; empty when it is not.
	Disabled string `yaml:"-"`
}

// Key tells the backends of a model apart: two that have the same are the same server.
func (b *ModelBackend) Key() string {
	return b.Kind + " " + cmp.Or(b.URL, b.Upstream+" "+b.Tool) + " " + b.Model
}

// defaultModelBackend has what a backend of a model has before its keys are read.
func defaultModelBackend(at Position) ModelBackend {
	return ModelBackend{Position: at, Weight: 1, StreamUsage: true, Prompts: "chat"}
}
