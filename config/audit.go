package config

// Audit is a file with a line for every call that was made, refused ones too: who called what, what became of it and what it took. Arguments
// are there as a digest only.
type Audit struct {
	// The file, one JSON object a line. It is only added to; when it was moved away, a new one is begun. Relative to this file.
	File string `yaml:"file" check:"filled"`
	// Each line holds a digest of itself and of the one before, so that a line that was changed or removed is found by "headgate audit verify".
	Chain bool `yaml:"chain"`
	// Calls are refused while no line can be written. Otherwise lines are dropped, and counted, when the disk does not keep up.
	Required bool `yaml:"required"`
}
