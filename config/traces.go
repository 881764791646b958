package config

import (
	"errors"
	"strings"
)

// Traces says which calls are traced, and where the traces go.
type Traces struct {
	// The collector, which speaks OTLP over HTTP: http:// or https://. Without a path it is /v1/traces there.
	OTLP string `yaml:"otlp" check:"collector"`
	// Headers sent to the collector. A value file:PATH is read from that file; an empty value is refused.
	Headers map[string]Secret `yaml:"headers" key:"header" check:"header value" secret:"file,required"`
	// The share of calls that are traced. What fails by a fault of the gateway's or an upstream's is traced anyway.
	Sample Percent `yaml:"sample" min:"0%" max:"100%"`
	// What a client has decided of its trace holds here too: whether it is sampled. Otherwise only the trace's id is the client's.
	TrustClients bool `yaml:"trust_clients"`
}

// defaultTraces has what traces have before their keys are read.
func defaultTraces() Traces { return Traces{Sample: 5, TrustClients: true} }

// checkCollector allows the address of a server that takes OTLP over HTTP.
func checkCollector(s string) error {
	if !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://") {
		return errors.New("must begin with http:// or https://")
	}
	if strings.Contains(s, "?") {
		return errors.New("must not have a query; credentials go into headers")
	}
	return checkURL(s)
}

// secrets are the values of the headers, as those of upstreams are.
func (t *Traces) secrets(out []string) []string {
	if t == nil {
		return out
	}
	for _, value := range t.Headers {
		out = headerSecret(value.Reveal(), out)
	}
	return out
}
