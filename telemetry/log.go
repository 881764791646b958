package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// LogConfig says what is logged, how, and where to.
type LogConfig struct {
	Level  string    // the least important that is written: debug, info, warn or error
	Format string    // json or text
	To     io.Writer // where lines go; where there is a file, only what becomes of that
	File   *LogFile  // instead; nil for none
	OTLP   string    // the address of an OpenTelemetry collector that gets all lines too; empty for none
	// Secrets are those of the configuration, which are left out wherever they stand.
	Secrets []string
	Version string // of the gateway, for the collector
}

// Logs is a logger and what it writes to. What looks like a secret is not written, nor are characters that could forge lines,
// nor more than 1 KiB of a field.
type Logs struct {
	*slog.Logger
	lines *lineWriter
	file  *dailyFile // nil for none
	sent  *logExport // nil for none
}

// OpenLogs opens what a configuration names. [Logs.Close] must be called, or what was logged last may be lost.
func OpenLogs(ctx context.Context, c LogConfig) (*Logs, error) {
	known := newKnownSecrets(c.Secrets)
	l := &Logs{lines: newLineWriter(c.To, func(error) {})}
	if c.File != nil {
		aside, err := newLogger(newLineWriter(c.To, func(error) {}), c.Level, c.Format, known)
		if err != nil {
			return nil, err
		}
		if l.file, err = openDaily(*c.File); err != nil {
			return nil, err
		}
		l.lines = newLineWriter(l.file, func(err error) { tellOf(ctx, aside, c.File.Path, err) })
	}
	log, err := newLogger(l.lines, c.Level, c.Format, known)
	if err == nil && c.OTLP != "" {
		l.sent, err = openLogExport(ctx, c, log)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(ctx))
	}
	l.Logger = log
	if l.sent != nil {
		l.Logger = slog.New(slog.NewMultiHandler(log.Handler(), newRedactor(l.sent, known)))
	}
	return l, nil
}

// Lost returns how many lines were not written, because what they are written to failed or did not keep up.
func (l *Logs) Lost() int64 { return l.lines.lost.Load() }

// Close writes what waits, and sends it as long as ctx lasts. What is logged later is written at once, and not sent.
func (l *Logs) Close(ctx context.Context) error {
	err := l.lines.close()
	if l.sent != nil {
		err = errors.Join(err, l.sent.close(ctx))
	}
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

// NewLogger returns a logger that writes records of at least a level to w, each at once. The level
// is debug, info, warn or error; the format is json or text. W must be safe for use
// by many goroutines or be written to by this logger only. What looks like a secret, and the
// secrets, which are those of the configuration, are not written; nor are characters that could forge lines, and not
// more than 1 KiB of a field.
func NewLogger(w io.Writer, level, format string, secrets ...string) (*slog.Logger, error) {
	lines := newLineWriter(w, func(error) {})
	lines.closed = true
	return newLogger(lines, level, format, newKnownSecrets(secrets))
}

// defaultComponent is where lines come from that do not say it.
const defaultComponent = "gateway"

func newLogger(lines *lineWriter, level, format string, known *knownSecrets) (*slog.Logger, error) {
	var min slog.Level
	if err := min.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	switch format {
	case "json":
		return slog.New(&lineHandler{min: min, out: lines, known: known, component: defaultComponent}), nil
	case "text":
		options := &slog.HandlerOptions{Level: min, ReplaceAttr: renameTime}
		return slog.New(newRedactor(slog.NewTextHandler(wholeLines{lines}, options), known)), nil
	}
	return nil, fmt.Errorf("log format %q: want json or text", format)
}

// renameTime gives the time of a line of text the name that it has in JSON.
func renameTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		a.Key = timeField
	}
	return a
}

// wholeLines writes each line at once.
type wholeLines struct{ *lineWriter }

// Write implements [io.Writer].
func (w wholeLines) Write(line []byte) (int, error) { return len(line), w.write(line, false) }

// tellOf says once that a file takes no lines, and once that it does again.
func tellOf(ctx context.Context, log *slog.Logger, path string, err error) {
	if err != nil {
		log.ErrorContext(ctx, "log file: lines are lost", "file", path, "error", err)
		return
	}
	log.InfoContext(ctx, "log file: lines are written again", "file", path)
}
