package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headgate/headgate/rpc"
)

// Bounds of what a journal keeps.
const (
	journalEntries = 2048
	journalBytes   = 4 << 20
	journalEntry   = 16 << 10 // of one line; a longer one is not kept
)

// Journal keeps the last lines of the log, and of the calls of models that ended, for those who may read them while the
// gateway runs. Each belongs to a tenant or to the operators alone. What it keeps is as clean as what is written elsewhere. It takes
// entries without waiting for readers: one that is too slow misses the oldest, and is told so. All methods may be called by many
// goroutines at once.
type Journal struct {
	lines *lineHandler

	mu     sync.Mutex
	kept   [][]byte // lines, a ring by number; none is ever changed
	first  uint64   // the oldest that is kept
	next   uint64   // the one that comes
	bytes  int
	wake   chan struct{} // closed when there is something new; nil while nobody waits
	closed bool
}

// journaled is what a reader sees in a line. Lines are read when somebody asks for them, since hardly anybody does.
type journaled struct {
	level   slog.Level
	tenant  string // empty for the operators
	request string
	text    []byte
}

var _ rpc.Observer = (*Journal)(nil)

// NewJournal returns a journal without entries. The secrets are those of the configuration, which are left out. Lines of no lower level
// than the least are kept.
func NewJournal(level string, secrets ...string) *Journal {
	j := &Journal{kept: make([][]byte, journalEntries)}
	min := slog.LevelInfo
	_ = min.UnmarshalText([]byte(level)) // one that is none was refused where the log is opened
	out := newLineWriter(j, func(error) {})
	out.closed = true
	j.lines = &lineHandler{min: min, out: out, known: newKnownSecrets(secrets), component: defaultComponent}
	return j
}

// Handler returns the handler of what is to be in the journal.
func (j *Journal) Handler() slog.Handler { return j.lines }

// Begin implements [rpc.Observer].
func (*Journal) Begin(*rpc.Call) {}

// End implements [rpc.Observer]: calls of the inference dialect are kept, but for those that say nothing.
func (j *Journal) End(c *rpc.Call) {
	if c.Dialect != rpc.Infer || !c.Message.IsRequest() {
		return
	}
	switch c.Method.Name {
	case "ping", "heartbeat", "logs":
		return
	}
	line := slog.NewRecord(time.Now(), slog.LevelInfo, "call ended", 0)
	o := c.Record.Outcome()
	_, took := c.Record.Times()
	var session string
	if s := c.Client.Session; s != "" {
		session = s[:min(len(s), shortSession)]
	}
	line.AddAttrs(slog.String("session_id", session), slog.String("request_id", c.Record.ID), slog.String("method", c.Method.Name),
		slog.Int64("duration_ms", took.Milliseconds()), slog.String("status", o.String()),
		slog.String("org", c.Principal.Org), slog.String("team", c.Principal.Team), slog.String("key", c.Principal.Key), slog.String("user", c.Principal.User))
	if c.Target.Kind == rpc.Model {
		line.AddAttrs(slog.String("model", c.Target.Canonical))
	}
	if used := c.Record.Usage(); used != (rpc.Usage{}) {
		line.AddAttrs(slog.Int64("input_tokens", used.Input), slog.Int64("output_tokens", used.Output))
	}
	switch {
	case o.Err != nil: // as the client was told; the cause is for the log
		line.AddAttrs(slog.String("reason", rpc.AsError(o.Err).Message))
	case o.Failure != nil:
		line.AddAttrs(slog.String("reason", o.Failure.Message))
	}
	if blames(o) {
		line.Level = slog.LevelWarn
	}
	h := *j.lines
	h.component, h.min = AccessComponent, slog.LevelDebug
	_ = h.Handle(context.Background(), line) //nolint:forbidigo // the call is over, and its trace with it
}

// shortSession is how much of the gateway's own key of a session tells it from others. It is no part of the id that the client holds.
const shortSession = 12

// Write takes whole lines of the log.
func (j *Journal) Write(lines []byte) (int, error) {
	for line := range bytes.Lines(lines) {
		if len(line) <= journalEntry {
			j.add(bytes.Clone(line))
		}
	}
	return len(lines), nil
}

// entryOf makes an entry of a line. One that says why something failed in words that are not for clients belongs to nobody.
func entryOf(line []byte) (journaled, bool) {
	o, err := rpc.ReadObject(bytes.TrimSpace(line))
	if err != nil {
		return journaled{}, false
	}
	member := func(name string) string { s, _ := o.Text(name); return s }
	e := journaled{request: member("request_id")}
	level := member(levelField)
	_ = e.level.UnmarshalText([]byte(level)) // it was written by such a level
	if _, internal := o.Get("error"); !internal {
		e.tenant = TenantOf(member("org"), member("key"), member("user"))
	}
	b := rpc.AppendString([]byte(`{"timestamp":`), member(timeField))
	b = rpc.AppendString(append(b, `,"level":`...), strings.ToLower(level))
	for _, name := range []string{componentField, "session_id", "request_id", "method"} {
		b = append(rpc.AppendString(append(b, ','), name), ':')
		if text := member(name); text != "" {
			b = rpc.AppendString(b, text)
		} else {
			b = append(b, "null"...)
		}
	}
	o.Each(func(name string, value jsonText) bool {
		switch name {
		case timeField, levelField, componentField, "session_id", "request_id", "method", messageField:
		default:
			if string(value) != `""` {
				b = append(append(rpc.AppendString(append(b, ','), name), ':'), value...)
			}
		}
		return true
	})
	e.text = append(rpc.AppendString(append(b, `,"message":`...), member(messageField)), '}')
	return e, true
}

// TenantOf names whose an entry is: an organisation's, or a key's or user's without one. What belongs to nobody has none.
func TenantOf(org, key, user string) string {
	switch {
	case org != "":
		return "org " + org
	case key != "" || user != "":
		return "key " + strconv.Quote(key) + " user " + user
	}
	return ""
}

// add keeps a line, in the place of the oldest ones where there is no room.
func (j *Journal) add(line []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.first < j.next && (j.next-j.first >= journalEntries || j.bytes+len(line) > journalBytes) {
		old := &j.kept[j.first%journalEntries]
		j.bytes -= len(*old)
		*old = nil
		j.first++
	}
	j.kept[j.next%journalEntries] = line
	j.bytes += len(line)
	j.next++
	j.rouse()
}

// all returns the lines that are kept, and the number of the first.
func (j *Journal) all() (lines [][]byte, first uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for at := j.first; at < j.next; at++ {
		lines = append(lines, j.kept[at%journalEntries])
	}
	return lines, j.first
}

// rouse wakes who waits. The lock is held.
func (j *Journal) rouse() {
	if j.wake != nil {
		close(j.wake)
		j.wake = nil
	}
}

// Close ends all readers, each when it has read what there is.
func (j *Journal) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.rouse()
}

var _ io.Writer = (*Journal)(nil)
