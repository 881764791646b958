package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// jsonText is the text of a value.
type jsonText = json.RawMessage

// JournalFilter says which entries a reader gets.
type JournalFilter struct {
	Level   slog.Level // the least
	Tenant  string     // whose, as [TenantOf] names it
	All     bool       // everybody's instead, and the operators' own
	Request string     // about one call; empty for all
}

// JournalReader reads a journal, for one goroutine.
type JournalReader struct {
	journal *Journal
	filter  JournalFilter
	follow  bool
	at      uint64 // the next that it looks at
	end     uint64 // where it ends, unless it follows
}

// Read returns a reader of a number of the last entries that pass a filter and, if it follows, of all that come from now on.
func (j *Journal) Read(f JournalFilter, tail int, follow bool) *JournalReader {
	lines, first := j.all()
	end := first + uint64(len(lines))
	r := &JournalReader{journal: j, filter: f, follow: follow, at: end, end: end}
	for i := len(lines) - 1; i >= 0 && tail > 0; i-- {
		if _, ok := r.wanted(lines[i]); ok {
			r.at = first + uint64(i)
			tail--
		}
	}
	return r
}

// wanted returns the text of the entry of a line, if it passes the filter.
func (r *JournalReader) wanted(line []byte) (text []byte, ok bool) {
	e, ok := entryOf(line)
	switch {
	case !ok, e.level < r.filter.Level, r.filter.Request != "" && e.request != r.filter.Request:
		return nil, false
	}
	return e.text, r.filter.All || e.tenant != "" && e.tenant == r.filter.Tenant
}

// Next returns the next entry, the text of an object. After the last one it returns io.EOF: where the reader does not follow, or the journal is
// closed. Where entries were dropped before they could be read it returns one that says so.
func (r *JournalReader) Next(ctx context.Context) ([]byte, error) {
	for {
		line, missed, wake, err := r.step()
		switch {
		case err != nil:
			return nil, err
		case missed > 0:
			return missing(missed), nil
		case line != nil:
			if text, ok := r.wanted(line); ok {
				return text, nil
			}
			continue
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// step returns the next line, or how many were dropped before it, or what to wait for.
func (r *JournalReader) step() (line []byte, missed uint64, wake <-chan struct{}, err error) {
	j := r.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case r.at < j.first:
		missed = j.first - r.at
		r.at = j.first
		return nil, missed, nil, nil
	case r.at < j.next && (r.follow || r.at < r.end):
		r.at++
		return j.kept[(r.at-1)%journalEntries], 0, nil, nil
	case !r.follow || j.closed:
		return nil, 0, nil, io.EOF
	case j.wake == nil:
		j.wake = make(chan struct{})
	}
	return nil, 0, j.wake, nil
}

// missing is the entry in the place of those that a reader was too slow for. How many of them were its own is not known.
func missing(n uint64) []byte {
	return fmt.Appendf(nil, `{"timestamp":%q,"level":"warn","component":"logs","session_id":null,"request_id":null,"method":null,"missed":%d,`+
		`"message":"entries were dropped because they were not read in time"}`, time.Now().UTC().Format(time.RFC3339Nano), n)
}
