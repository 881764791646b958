package config

import "time"

// Cache says what is answered again without asking the server.
type Cache struct {
	// How much memory it may take.
	MaxSize Size `yaml:"max_size" min:"1MiB" max:"1024GiB"`
	// Servers that say themselves how long what they list, and resources that are read, may be kept are believed. This is for those that do not.
	Lists CachedLists `yaml:"lists"`
	// Results of tools, for each caller on its own.
	Tools CachedTools `yaml:"tools"`
	// Answers of models, for each caller on its own.
	Models CachedModels `yaml:"models"`
	// Resources that their server calls public may be answered to others than who read them first.
	SharePublic bool `yaml:"share_public"`
}

// CachedLists concerns servers that do not say how long something may be kept.
type CachedLists struct {
	// How long their lists and resources are kept, unless they say that something changed. Left out, lists for 30s and resources not at all.
	TTL time.Duration `yaml:"ttl" min:"0s" max:"24h"`
}

// CachedTools concerns results of tools which their server marks as read-only.
type CachedTools struct {
	// Which tools, by canonical names (UPSTREAM__name); globs. Left out, none.
	Allow []string `yaml:"allow" check:"filled"`
	// How long results are kept.
	TTL time.Duration `yaml:"ttl" min:"0s" max:"24h"`
	// How long after that they may still be given once more, while a new one is fetched.
	Stale time.Duration `yaml:"stale" min:"0s" max:"24h"`
}

// CachedModels concerns answers of models.
type CachedModels struct {
	// Which models, by the names that they have behind aliases; globs. Left out, none.
	Allow []string `yaml:"allow" check:"filled"`
	// How long answers are kept.
	TTL time.Duration `yaml:"ttl" min:"0s" max:"24h"`
	// The highest temperature at which answers are kept. Above zero they are not always the same. Calls that do not say one are taken to be
	// made at 1, which is what most engines do.
	MaxTemperature Amount `yaml:"max_temperature" min:"0" max:"2"`
}

// matchesAny reports whether one of the globs matches a name.
func matchesAny(globs []string, name string) bool {
	for _, g := range globs {
		if Match(g, name) {
			return true
		}
	}
	return false
}

// UnsaidTemperature is what the temperature of a call is taken for that does not say one.
const UnsaidTemperature = 1

// Keeps reports whether answers of a model at a temperature are kept.
func (c CachedModels) Keeps(canonical string, temperature float64) bool {
	return c.TTL > 0 && temperature <= float64(c.MaxTemperature)/Millionths && matchesAny(c.Allow, canonical)
}

// validateCachedModels warns of models whose answers are kept for no time.
func (d *decoder) validateCachedModels(n *node, c *Config) {
	if allow := n.first("allow"); allow != nil && c.Cache != nil && len(c.Cache.Models.Allow) > 0 && c.Cache.Models.TTL == 0 && n.first("ttl") == nil {
		d.warn(allow.at, "cache.models.ttl", "nothing is kept without a ttl", "add ttl: 10m")
	}
}

// Keeps reports whether results of a tool are kept.
func (c CachedTools) Keeps(canonical string) bool { return c.TTL > 0 && matchesAny(c.Allow, canonical) }
