package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Check identifies a check of the suite. One scenario can make the same check several times.
type Check struct {
	Scenario string `json:"scenario"`
	ID       string `json:"id"`
}

func compareChecks(a, b Check) int {
	return cmp.Or(cmp.Compare(a.Scenario, b.Scenario), cmp.Compare(a.ID, b.ID))
}

// Run is what one run of the suite found: how many times each check succeeded, and what the suite said where
// one did not. Failures, warnings and remarks are all no successes.
type Run struct {
	Succeeded map[Check]int
	Said      map[Check]string
}

// Total returns how many checks succeeded.
func (r Run) Total() int {
	total := 0
	for _, n := range r.Succeeded {
		total += n
	}
	return total
}

// Scenarios returns how many scenarios had a check that succeeded.
func (r Run) Scenarios() int {
	names := make(map[string]bool)
	for check := range r.Succeeded {
		names[check.Scenario] = true
	}
	return len(names)
}

// whole returns how many scenarios whose names begin with prefix had a check that succeeded, and lost none.
func (r Run) whole(prefix string, losses []Loss) int {
	names := make(map[string]bool)
	for check := range r.Succeeded {
		if strings.HasPrefix(check.Scenario, prefix) {
			names[check.Scenario] = true
		}
	}
	for _, l := range losses {
		delete(names, l.Scenario)
	}
	return len(names)
}

// scenarioFolder is how the suite names the folder of a scenario's results, of servers and of clients. Those of
// authorization are one level deeper and thereby left out.
var scenarioFolder = regexp.MustCompile(`^(?:server-)?(.+)-\d{4}-\d{2}-\d{2}T[\d-]+Z$`)

// readRun reads the results that the suite left in a folder.
func readRun(dir string) (Run, error) {
	run := Run{Succeeded: make(map[Check]int), Said: make(map[Check]string)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return run, fmt.Errorf("results of the suite: %w", err)
	}
	for _, e := range entries {
		m := scenarioFolder.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		if err := run.read(m[1], filepath.Join(dir, e.Name(), "checks.json")); err != nil {
			return run, err
		}
	}
	return run, nil
}

func (r Run) read(scenario, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("scenario %q: %w", scenario, err)
	}
	var checks []struct {
		ID, Status, ErrorMessage string
		Details                  struct{ Message string }
	}
	if err := json.Unmarshal(data, &checks); err != nil {
		return fmt.Errorf("scenario %q: %s: %w", scenario, file, err)
	}
	for _, c := range checks {
		check := Check{Scenario: scenario, ID: c.ID}
		if c.Status == "SUCCESS" {
			r.Succeeded[check]++
		} else {
			r.Said[check] = strings.TrimSuffix(c.Status+": "+cmp.Or(c.ErrorMessage, c.Details.Message), ": ")
		}
	}
	return nil
}

// replace takes the results of one scenario from a later run.
func (r Run) replace(scenario string, later Run) {
	inScenario := func(c Check) bool { return c.Scenario == scenario }
	maps.DeleteFunc(r.Succeeded, func(c Check, _ int) bool { return inScenario(c) })
	maps.DeleteFunc(r.Said, func(c Check, _ string) bool { return inScenario(c) })
	maps.Copy(r.Succeeded, later.Succeeded)
	maps.Copy(r.Said, later.Said)
}

// Loss is a check that succeeds directly, and fewer times through the gateway.
type Loss struct {
	Check
	Times int    `json:"times"`          // how many successes are gone
	Said  string `json:"said,omitempty"` // what the suite said
}

// compare returns what the gateway loses, sorted.
func compare(direct, through Run) []Loss {
	var losses []Loss
	for check, want := range direct.Succeeded {
		if have := through.Succeeded[check]; have < want {
			losses = append(losses, Loss{Check: check, Times: want - have, Said: through.Said[check]})
		}
	}
	slices.SortFunc(losses, func(a, b Loss) int { return compareChecks(a.Check, b.Check) })
	return losses
}

// scenarios returns the scenarios of losses, each once.
func scenarios(losses []Loss) []string {
	var names []string
	for _, l := range losses {
		if !slices.Contains(names, l.Scenario) {
			names = append(names, l.Scenario)
		}
	}
	return names
}
