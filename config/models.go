package config

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Model is one model that clients may invoke, or all whose names fit a glob, and the servers that run it.
type Model struct {
	// Name is the key in the file: the model's name, or a glob.
	Name string `yaml:"-"`
	// Position is where the key is.
	Position Position `yaml:"-"`

	// Further names of the model.
	Aliases []string `yaml:"aliases" check:"model" items:"some"`
	// How many tokens a prompt and its answer may have together, as clients are told. Left out, they are not told.
	Context int `yaml:"context" min:"0" max:"1000000000"`
	// What the model costs.
	Price Price `yaml:"price"`
	// What clients are told of the model beside its name, such as {region: eu}.
	Labels map[string]string `yaml:"labels" key:"label" scalar:"any" check:"text"`

	// The servers that run it. All of them do the same.
	Backends []ModelBackend `yaml:"backends"`
	// How one of them is chosen for a call: expected-wait takes the one of two at random whose work, in tokens, is done sooner at the speed that
	// was measured; weighted follows the weights, whatever the load.
	Balance string `yaml:"balance" enum:"expected-wait,weighted"`
	// From which size of the prompt on calls with the same beginning go to the same backend, which has that in its cache, as long as it is not much
	// busier than the others. 0B is never.
	PrefixAffinity Size `yaml:"prefix_affinity" min:"0B" max:"1MiB"`

	// How many calls run at a time, in all. Further ones wait in the queue. Left out, or 0, it is the sum of what the backends take, and without
	// a limit where one of them has none.
	MaxInFlight int `yaml:"max_in_flight" min:"0" max:"1048576"`
	// The calls that wait.
	Queue Queue `yaml:"queue"`
	// How long a backend may take.
	Deadlines Deadlines `yaml:"deadlines"`
	// How often a call that failed is made again. A call is not made again once anything of its answer was seen.
	Retry Retry `yaml:"retry"`
	// When a backend that keeps failing is left alone.
	Breaker Breaker `yaml:"breaker"`
	// Backends are asked whether they are well while nobody calls them. Left out, only calls show it.
	Health *Health `yaml:"health"`
	// How long a backend that is new or well again gets fewer calls than its share, when there are several. 0s is no such time.
	SlowStart time.Duration `yaml:"slow_start" min:"0s" max:"10m"`
	// How a backend gets ready that may not have loaded the model.
	WarmUp WarmUp `yaml:"warm_up"`

	// Disabled says why the model is switched off; empty when it is not.
	Disabled string `yaml:"-"`
}

// Price is what a model costs, in US dollars for a million tokens.
type Price struct {
	// Of prompts.
	Input Amount `yaml:"input" min:"0" max:"1000000"`
	// Of answers.
	Output Amount `yaml:"output" min:"0" max:"1000000"`
	// Of what the model has in its cache of a prompt. Left out, it is as input.
	Cached Amount `yaml:"cached" min:"0" max:"1000000"`
}

// Deadlines say how long a backend may take for a call. One that takes longer has failed.
type Deadlines struct {
	// Until the first of a streamed answer is there.
	FirstToken time.Duration `yaml:"first_token" min:"10ms" max:"24h"`
	// Between two parts of a streamed answer.
	BetweenTokens time.Duration `yaml:"between_tokens" min:"10ms" max:"24h"`
	// For the whole call, from when it is first sent to a backend.
	Total time.Duration `yaml:"total" min:"10ms" max:"168h"`
}

// WarmUp says how a backend gets ready that is new, was away, or has had no call for long: it is asked for one token, and gets calls once it has answered.
type WarmUp struct {
	// When it is asked: with the first call that comes, or at the start of the gateway, too; or never, and then calls are sent at once. Of a
	// glob nobody knows which models there are: the first call of each name has the time that loading may take.
	At string `yaml:"at" enum:"first-call,start,never"`
	// How long loading the model may take.
	Timeout time.Duration `yaml:"timeout" min:"100ms" max:"1h"`
	// How often a backend is asked for one token while nobody calls it, so that the model stays loaded. 0s is never.
	Every time.Duration `yaml:"every" min:"0s" max:"24h"`
}

// Enabled are the backends that are not switched off.
func (m *Model) Enabled() []ModelBackend {
	return slices.DeleteFunc(slices.Clone(m.Backends), func(b ModelBackend) bool { return b.Disabled != "" })
}

// Glob reports whether the entry is for all models whose names fit.
func (m *Model) Glob() bool { return strings.ContainsAny(m.Name, "*?") }

// LogValue returns the name and the position only: headers and addresses may hold secrets.
func (m Model) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", m.Name), slog.String("at", m.Position.String()))
}

// FindModel returns the entry that serves a model, and the name that the model has behind aliases: of the names first, then of the aliases, then
// of the first glob that fits, for which it is the name that was asked for. The entry is nil if there is none. It may be switched off.
func FindModel(models []Model, name string) (canonical string, entry *Model) {
	if name == "" || strings.ContainsAny(name, "*?") {
		return "", nil
	}
	for i := range models {
		if m := &models[i]; m.Name == name {
			return name, m
		}
	}
	for i := range models {
		if m := &models[i]; slices.Contains(m.Aliases, name) {
			return m.Name, m
		}
	}
	for i := range models {
		if m := &models[i]; m.Glob() && Match(m.Name, name) {
			return name, m
		}
	}
	return "", nil
}

// NewModel returns a model with the defaults of one that a file only names, and these backends.
func NewModel(name string, backends ...ModelBackend) Model {
	m := defaultModel(name, Position{})
	m.Backends = backends
	return m
}

// defaultModel has what a model has before its keys are read.
func defaultModel(name string, at Position) Model {
	return Model{
		Name: name, Position: at, Balance: "expected-wait", PrefixAffinity: KiB, Queue: defaultQueue(),
		Deadlines: Deadlines{FirstToken: 10 * time.Second, BetweenTokens: 15 * time.Second, Total: 10 * time.Minute},
		Retry:     defaultRetry(), Breaker: defaultBreaker(), SlowStart: 30 * time.Second,
		WarmUp: WarmUp{At: "first-call", Timeout: 5 * time.Minute},
	}
}

// disableBackend switches a backend of a model off, with the first reason that is found, and warns of every one.
func (f *findings) disableBackend(b *ModelBackend, at Position, path, reason, hint string) {
	if b.Disabled == "" {
		b.Disabled = fmt.Sprintf("%s (%s %s)", reason, at, path)
	}
	f.warn(at, path, "the backend is disabled: "+reason, hint)
}
