package main

import (
	"time"

	"github.com/headgate/headgate/gateway"
	"github.com/headgate/headgate/policy/auth"
)

// asked is an identity provider as JSON.
type asked struct {
	Name      string  `json:"name"`
	Kind      string  `json:"kind"`
	State     string  `json:"state"`
	LatencyMs float64 `json:"latency_ms"`
	Note      string  `json:"note"`
}

func askedOf(providers []auth.Provider) []asked {
	out := make([]asked, 0, len(providers))
	for _, p := range providers {
		a := asked{Name: p.Name, Kind: p.Kind, State: gateway.Up, LatencyMs: milliseconds(p.Latency)}
		if p.Err != nil {
			a.State, a.LatencyMs, a.Note = gateway.Down, 0, p.Err.Error()
		}
		out = append(out, a)
	}
	return out
}

// providerRows are the rows of identity providers in the table of upstreams.
func providerRows(providers []auth.Provider) (rows [][]string) {
	for i, a := range askedOf(providers) {
		latency := "-"
		if a.State == gateway.Up {
			latency = providers[i].Latency.Round(10 * time.Microsecond).String()
		}
		rows = append(rows, []string{a.Name, a.Kind, "-", a.State, "-", latency, a.Note})
	}
	return rows
}

// absentProviders returns the names of those that are of no use now.
func absentProviders(providers []auth.Provider) (names []string) {
	for _, p := range providers {
		if p.Err != nil {
			names = append(names, p.Name)
		}
	}
	return names
}
