package config

// History bounds what is remembered of what clients say to models, in each session whose client wants that. The oldest
// turns are forgotten first.
type History struct {
	// Turns are a question and its answer each.
	Turns int `yaml:"turns" min:"1" max:"10000"`
	// Bytes of all turns, and of what the servers of models make of them.
	Bytes Size `yaml:"bytes" min:"1KiB" max:"16MiB"`
}
