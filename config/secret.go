package config

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every way of printing a Secret prints.
const redacted = "[redacted]"

// Secret is text that must not be shown. Formatting, logging and marshalling it prints "[redacted]"; only Reveal gives the text. (The verb
// %p cannot be caught; go vet refuses it for text.)
type Secret string

// Reveal returns the text itself. Callers pass it on to the server it is meant for and to nothing else.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// GoString returns "[redacted]", for %#v.
func (s Secret) GoString() string { return redacted }

// Format writes "[redacted]" for any verb: fmt prints the bytes of a string type for verbs it does not know.
func (s Secret) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, redacted) }

// LogValue returns "[redacted]", for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]"; encoding/json and the YAML encoder use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
