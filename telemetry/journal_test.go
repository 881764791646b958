package telemetry_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/telemetry"
)

// ends tells a journal of a call that has ended.
func ends(j *telemetry.Journal, method, id string, p rpc.Principal, err error) {
	c := invokeCall()
	c.Method, c.Record, c.Principal = &rpc.Method{Name: method}, &rpc.Record{ID: id}, p
	c.Client.Session = "0123456789abcdef"
	reply, refused := rpc.Observe(j)(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		if err != nil {
			return nil, err
		}
		try := c.Record.Try(rpc.Hop{})
		var meter rpc.Meter
		try.Metered(&meter)
		meter.Uses(rpc.Usage{Input: 3, Output: 4})
		m := rpc.NewResult(c.Message.ID, []byte(`{}`))
		try.Saw(m)
		return rpc.Respond(m), nil
	})).Handle(context.Background(), c)
	if refused == nil {
		_, _ = reply.Next()
		_ = reply.Close()
	}
}

// all reads what a reader gets without waiting.
func all(t *testing.T, r *telemetry.JournalReader) (out []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		text, err := r.Next(ctx)
		if err != nil {
			return out
		}
		if !json.Valid(text) {
			t.Fatalf("no JSON: %s", text)
		}
		out = append(out, string(text))
	}
}

func TestJournalKeepsWhatClientsMayKnow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := telemetry.NewJournal("info", "swordfish")
		acme, solo := rpc.Principal{Org: "acme", Team: "t", Key: "ci"}, rpc.Principal{Key: "k", User: "u"}
		ends(j, "invoke", "r1", acme, nil)
		failed := rpc.Errorf(rpc.UpstreamDown, "it is down; swordfish")
		failed.Cause = errors.New("dial 10.0.0.1")
		ends(j, "invoke", "r2", solo, failed)
		ends(j, "ping", "r3", acme, nil)
		ends(j, "initialize", "r4", rpc.Principal{}, nil)
		log := slog.New(j.Handler())
		log.With(telemetry.Component("limit")).Warn("limit warned", "org", "acme", "limit", "day")
		log.Warn("broken", "org", "acme", "error", "dial 10.0.0.1")
		log.Debug("detail")
		now := `"timestamp":"` + time.Now().UTC().Format(time.RFC3339Nano) + `"`
		r1 := `{` + now + `,"level":"info","component":"access","session_id":"0123456789ab","request_id":"r1","method":"invoke","duration_ms":0,"status":"ok","org":"acme","team":"t","key":"ci","model":"llama-70b","input_tokens":3,"output_tokens":4,"message":"call ended"}`
		r2 := `{` + now + `,"level":"warn","component":"access","session_id":"0123456789ab","request_id":"r2","method":"invoke","duration_ms":0,"status":"upstream_down","key":"k","user":"u","model":"llama-70b","reason":"it is down; [redacted]","message":"call ended"}`
		r4 := `{` + now + `,"level":"info","component":"access","session_id":"0123456789ab","request_id":"r4","method":"initialize","duration_ms":0,"status":"ok","model":"llama-70b","input_tokens":3,"output_tokens":4,"message":"call ended"}`
		limit := `{` + now + `,"level":"warn","component":"limit","session_id":null,"request_id":null,"method":null,"org":"acme","limit":"day","message":"limit warned"}`
		broken := `{` + now + `,"level":"warn","component":"gateway","session_id":null,"request_id":null,"method":null,"org":"acme","error":"dial 10.0.0.1","message":"broken"}`
		for name, test := range map[string]struct {
			filter telemetry.JournalFilter
			tail   int
			want   []string
		}{
			"an organisation's": {telemetry.JournalFilter{Tenant: telemetry.TenantOf("acme", "", "")}, 100, []string{r1, limit}},
			"a key's":           {telemetry.JournalFilter{Tenant: telemetry.TenantOf("", "k", "u")}, 100, []string{r2}},
			"another user's":    {telemetry.JournalFilter{Tenant: telemetry.TenantOf("", "k", "v")}, 100, nil},
			"nobody's":          {telemetry.JournalFilter{}, 100, nil},
			"everybody's":       {telemetry.JournalFilter{All: true}, 100, []string{r1, r2, r4, limit, broken}},
			"the last":          {telemetry.JournalFilter{All: true}, 2, []string{limit, broken}},
			"none":              {telemetry.JournalFilter{All: true}, 0, nil},
			"warnings":          {telemetry.JournalFilter{All: true, Level: slog.LevelWarn}, 100, []string{r2, limit, broken}},
			"of one call":       {telemetry.JournalFilter{All: true, Request: "r4"}, 100, []string{r4}},
		} {
			got := all(t, j.Read(test.filter, test.tail, false))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	})
}

// The names of requests, as they are made, are no secrets, and lead to their entries.
func TestJournalKeepsNamesOfRequests(t *testing.T) {
	t.Parallel()
	j := telemetry.NewJournal("info")
	for range 100 {
		name := rand.Text()[:16]
		ends(j, "invoke", name, rpc.Principal{Org: "acme"}, nil)
		if got := all(t, j.Read(telemetry.JournalFilter{All: true, Request: name}, 10, false)); len(got) != 1 {
			t.Fatalf("%s leads to %v", name, got)
		}
	}
}

// Who follows gets what comes, and who is too slow is told what is missing; nobody waits for either.
func TestJournalIsFollowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := telemetry.NewJournal("info")
		log := slog.New(j.Handler())
		log.Info("before")
		var mu sync.Mutex
		var got []string
		var readers sync.WaitGroup
		for range 3 {
			r := j.Read(telemetry.JournalFilter{All: true}, 0, true)
			readers.Go(func() {
				for {
					text, err := r.Next(t.Context())
					if errors.Is(err, io.EOF) {
						return
					}
					mu.Lock()
					got = append(got, string(text))
					mu.Unlock()
				}
			})
		}
		slow := j.Read(telemetry.JournalFilter{All: true}, 1, true)
		synctest.Wait()
		for range 3000 {
			log.Info("line", "text", strings.Repeat("x ", 100))
			synctest.Wait()
		}
		j.Close()
		readers.Wait()
		if len(got) != 3*3000 || strings.Contains(strings.Join(got, ""), "before") || strings.Contains(strings.Join(got, ""), "missed") {
			t.Errorf("three followers got %d entries, want 9000", len(got))
		}
		late := all(t, slow)
		if len(late) != 1+2048 || !strings.Contains(late[0], `"missed":953,`) {
			t.Errorf("a slow reader got %d entries, first %s", len(late), late[0])
		}
		if _, err := slow.Next(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("a journal that is closed ends with %v", err)
		}
	})
}

// Long entries take the place of several, and nobody makes the journal large.
func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	j := telemetry.NewJournal("info")
	log := slog.New(j.Handler())
	attrs := make([]any, 0, 48)
	for i := range 24 {
		attrs = append(attrs, fmt.Sprint("text", i), strings.Repeat("many words ", 90))
	}
	for range 1000 {
		log.Info("long", attrs[:24]...)
	}
	size := 0
	kept := all(t, j.Read(telemetry.JournalFilter{All: true}, 4096, false))
	for _, text := range kept {
		size += len(text)
	}
	const more = 100 // in an entry than in its line
	if size > 4<<20+more*len(kept) || size < 3<<20 {
		t.Errorf("%d entries have %d bytes", len(kept), size)
	}
	log.Info("too long", attrs...)
	if again := all(t, j.Read(telemetry.JournalFilter{All: true}, 1, false)); strings.Contains(again[0], "too long") {
		t.Error("an entry of any length is kept")
	}
}

func TestNoTwoTenantsHaveOneName(t *testing.T) {
	t.Parallel()
	seen := map[string][3]string{}
	for _, who := range [][3]string{{"", "a", "b user c"}, {"", "a user b", "c"}, {"", "", "key"}, {"", "key", ""}, {"key", "", ""}, {"x", "a", "b"}} {
		name := telemetry.TenantOf(who[0], who[1], who[2])
		if other, twice := seen[name]; twice || name == "" {
			t.Errorf("%q and %q are both %q", who, other, name)
		}
		seen[name] = who
	}
}
