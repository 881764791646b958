package config

// Logs configures the log. It is read when the process starts.
type Logs struct {
	// The least important level that is written.
	Level string `yaml:"level" enum:"debug,info,warn,error"`
	// One JSON object a line, or text for a person. auto is text where a person looks at it, on a terminal, and json elsewhere.
	Format string `yaml:"format" enum:"auto,json,text"`
	// Which calls have a line: failed are those that have no answer, or none of their server; all are all; none are none. At level debug all have one.
	Access string `yaml:"access" enum:"failed,all,none"`
	// Of how many of the calls that did not fail there is a line, where access is all.
	Sample Percent `yaml:"sample" min:"0%" max:"100%"`
	// Whether the log shows messages as clients send and get them, at level debug. What is named as a secret or looks like one is left out; what
	// else tools are told and answer is there.
	Messages bool `yaml:"messages"`
	// Where the log is written to. Left out, to standard error.
	File *LogFile `yaml:"file"`
	// An OpenTelemetry collector that gets the log too, by OTLP over HTTP: http:// or https://. Without a path it is /v1/logs there.
	OTLP string `yaml:"otlp" check:"collector"`
}

// LogFile is a file for the log, and when a new one is begun.
type LogFile struct {
	// The file. Relative to this file.
	Path string `yaml:"path" check:"filled"`
	// When the file is put aside, with the time in its name, and a new one is begun: daily.
	Rotate string `yaml:"rotate" enum:"daily"`
	// How many of those that were put aside stay. 0 is all.
	Keep int `yaml:"keep" min:"0" max:"3650"`
}
