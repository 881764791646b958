package config

// Metrics configures what is counted, and who may see it.
type Metrics struct {
	// Whether GET /metrics of the admin listener shows it, in the format of Prometheus.
	Prometheus bool `yaml:"prometheus"`
}
