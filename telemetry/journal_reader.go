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
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &JournalReader{journal: j, filter: f, follow: follow, at: j.next, end: j.next}
	for at := j.next; at > j.first && tail > 0; at-- {
		if r.wants(&j.kept[(at-1)%journalEntries]) {
			r.at = at - 1
			tail--
		}
	}
	return r
}

func (r *JournalReader) wants(e *journaled) bool {
	switch {
	case e.level < r.filter.Level, r.filter.Request != "" && e.request != r.filter.Request:
		return false
	}
	return r.filter.All || e.tenant != "" && e.tenant == r.filter.Tenant
}

// Next returns the next entry, the text of an object which is not the caller's to change. After the last one it returns io.EOF: where the reader
// does not follow, or the journal is closed. Where entries were dropped before they could be read it returns one that says so.
func (r *JournalReader) Next(ctx context.Context) ([]byte, error) {
	for {
		text, wake, err := r.look()
		if text != nil || err != nil {
			return text, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// look returns the next entry that is there, or what to wait for.
func (r *JournalReader) look() (text []byte, wake <-chan struct{}, err error) {
	j := r.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.at < j.first {
		missed := j.first - r.at
		r.at = j.first
		return missing(missed), nil, nil
	}
	for ; r.at < j.next && (r.follow || r.at < r.end); r.at++ {
		if e := &j.kept[r.at%journalEntries]; r.wants(e) {
			r.at++
			return e.text, nil, nil
		}
	}
	if !r.follow || j.closed {
		return nil, nil, io.EOF
	}
	if j.wake == nil {
		j.wake = make(chan struct{})
	}
	return nil, j.wake, nil
}

// missing is the entry in the place of those that a reader was too slow for. How many of them were its own is not known.
func missing(n uint64) []byte {
	return fmt.Appendf(nil, `{"timestamp":%q,"level":"warn","component":"logs","session_id":null,"request_id":null,"method":null,"missed":%d,`+
		`"message":"entries were dropped because they were not read in time"}`, time.Now().UTC().Format(time.RFC3339Nano), n)
}
