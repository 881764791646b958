package config

import "fmt"

// Metered reports whether the limit counts what calls take of models, which is known only when they have ended.
func (l *Limit) Metered() bool { return l.Unit == "tokens" || l.Unit == "usd" && l.Cost == 0 }

// validateMetered checks what limits say of models.
func (d *decoder) validateMetered(list *node, limits []Limit, models *node, entries []Model) {
	items, nodes := elements(list), models.index()
	for i := range limits {
		l, n, path := &limits[i], items[i], fmt.Sprintf("limits[%d]", i)
		if n.kind != mapping {
			continue // which was said
		}
		for _, key := range []string{"tool", "upstream"} {
			if other := n.first(key); other != nil && (l.Model != "" || l.Metered() && l.Unit != "") {
				d.fail(other.at, join(path, key), "calls of models are of no "+key, "remove it or "+remedy(l))
			}
		}
		if l.Metered() && l.Unit == "usd" {
			d.unpriced(l, nodes, entries)
		}
	}
}

// remedy says what makes a limit one of tools.
func remedy(l *Limit) string {
	switch {
	case l.Model != "":
		return "model"
	case l.Unit == "usd":
		return "add cost: what one call costs"
	}
	return "count requests"
}

// unpriced warns of models that cost nothing by a limit on money.
func (d *decoder) unpriced(l *Limit, nodes map[string]*node, entries []Model) {
	for i := range entries {
		m := &entries[i]
		n := nodes[m.Name]
		if n == nil || n.kind != mapping || n.first("price") != nil || !l.mayConcern(m) {
			continue
		}
		d.warn(m.Position, join("models", m.Name), fmt.Sprintf("the model has no price, so that the limit %q (%s) counts nothing for it", l.Name, l.Position),
			"add price: {input: …, output: …} in USD per million tokens; zeros say that it is free")
	}
}

// mayConcern reports whether calls of a model, or of one of those that an entry is for, count against the limit.
func (l *Limit) mayConcern(m *Model) bool {
	return l.Model == "" || Match(l.Model, m.Name) || m.Glob() && Match(m.Name, l.Model)
}
