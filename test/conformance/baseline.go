package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml"
)

//go:embed baseline.yml
var baselineFile []byte

// Expected is an entry of the baseline: checks that the gateway is known to lose across eras. Within one era
// there is no excuse.
type Expected struct {
	Scenario string `json:"scenario" yaml:"scenario"`
	// Checks are the ids of the checks. Empty: at least one of the scenario's checks is lost.
	Checks []string `json:"checks,omitempty" yaml:"checks"`
	// Specs are the revisions it holds for. Empty: all that have the scenario.
	Specs []string `json:"specs,omitempty" yaml:"specs"`
	// Servers are the servers it holds for, by name. Empty: all.
	Servers []string `json:"servers,omitempty" yaml:"servers"`
	// Fixture is what the suite needs and the server behind does not have, Feature what the protocol of the server's
	// era cannot express. Each entry has one of them: there is nothing else that may be lost.
	Fixture string `json:"fixture,omitempty" yaml:"fixture"`
	Feature string `json:"feature,omitempty" yaml:"feature"`
	// Reason says what happens instead.
	Reason string `json:"reason" yaml:"reason"`
}

func readBaseline(data []byte) ([]Expected, error) {
	var entries []Expected
	if len(bytes.TrimSpace(data)) > 0 {
		if err := yaml.UnmarshalWithOptions(data, &entries, yaml.DisallowUnknownField()); err != nil {
			return nil, fmt.Errorf("baseline: %w", err)
		}
	}
	for _, e := range entries {
		if e.Scenario == "" || e.Reason == "" {
			return nil, errors.New("baseline: each entry needs a scenario and a reason")
		}
		if (e.Fixture == "") == (e.Feature == "") {
			return nil, fmt.Errorf("baseline: %s: the entry needs either a fixture that the server lacks or a feature that its era lacks", e.Scenario)
		}
	}
	return entries, nil
}

func (e Expected) appliesTo(p Pairing) bool {
	return p.Across != "" && (len(e.Specs) == 0 || slices.Contains(e.Specs, p.Spec)) &&
		(len(e.Servers) == 0 || slices.Contains(e.Servers, string(p.Server)))
}

func (e Expected) covers(c Check) bool {
	return c.Scenario == e.Scenario && (len(e.Checks) == 0 || slices.Contains(e.Checks, c.ID))
}

// Unexpected is an entry of the baseline that is not needed: what it expects to be lost is not.
type Unexpected struct {
	Scenario string `json:"scenario"`
	ID       string `json:"id,omitempty"` // empty: the whole scenario
}

// judge divides losses into the expected and the rest, and finds the entries that are not needed. An entry
// about checks that the direct run does not have is ignored: it is about another pairing.
func judge(baseline []Expected, p Pairing, direct Run, losses []Loss) (expected, lost []Loss, passed []Unexpected) {
	baseline = slices.DeleteFunc(slices.Clone(baseline), func(e Expected) bool { return !e.appliesTo(p) })
	for _, l := range losses {
		if slices.ContainsFunc(baseline, func(e Expected) bool { return e.covers(l.Check) }) {
			expected = append(expected, l)
		} else {
			lost = append(lost, l)
		}
	}
	for _, e := range baseline {
		for _, u := range e.claims() {
			made := func(c Check) bool { return c.Scenario == u.Scenario && (u.ID == "" || c.ID == u.ID) }
			if direct.has(made) && !slices.ContainsFunc(losses, func(l Loss) bool { return made(l.Check) }) {
				passed = append(passed, u)
			}
		}
	}
	return expected, lost, passed
}

// claims returns what the entry says is lost, one by one.
func (e Expected) claims() []Unexpected {
	if len(e.Checks) == 0 {
		return []Unexpected{{Scenario: e.Scenario}}
	}
	var out []Unexpected
	for _, id := range e.Checks {
		out = append(out, Unexpected{Scenario: e.Scenario, ID: id})
	}
	return out
}

func (r Run) has(match func(Check) bool) bool {
	for c := range r.Succeeded {
		if match(c) {
			return true
		}
	}
	return false
}
