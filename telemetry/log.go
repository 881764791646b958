package telemetry

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes records of at least a level to w. The level
// is debug, info, warn or error; the format is json or text. w must be safe for use
// by many goroutines or be written to by this logger only. What looks like a secret, and the
// secrets, which are those of the configuration, are not written; nor are characters that could forge lines, and not
// more than 1 KiB of a field.
func NewLogger(w io.Writer, level, format string, secrets ...string) (*slog.Logger, error) {
	var min slog.Level
	if err := min.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: min}
	switch format {
	case "json":
		return slog.New(newRedactor(slog.NewJSONHandler(w, options), secrets)), nil
	case "text":
		return slog.New(newRedactor(slog.NewTextHandler(w, options), secrets)), nil
	}
	return nil, fmt.Errorf("log format %q: want json or text", format)
}
