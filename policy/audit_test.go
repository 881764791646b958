package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy"
	"github.com/headgate/headgate/rpc"
)

// silent is a log that nobody reads.
func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// trail opens an audit log that ends with the test.
func trail(t *testing.T, cfg config.Audit) *policy.AuditTrail {
	t.Helper()
	out, err := policy.OpenAudit(cfg, silent())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mixed answers some calls, fails some and refuses others.
func mixed(n int) rpc.Handler {
	return rpc.HandlerFunc(func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		switch n % 4 {
		case 0:
			return nil, rpc.Errorf(rpc.Forbidden, "no")
		case 1:
			return rpc.Respond(rpc.NewError(c.Message.ID, &rpc.WireError{Code: -1, Message: "broken"})), nil
		}
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(`{}`))), nil
	})
}

// breaking is a reply that ends with an error.
type breaking struct{ err error }

func (b breaking) Next() (*rpc.Message, error) { return nil, b.err }
func (breaking) Answer(*rpc.Message) error     { return rpc.ErrNoQuestion }
func (breaking) Close() error                  { return nil }

// What became of a call that failed after it had begun is told as what it was.
func TestOutcomesOfCallsThatBreakOff(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	log := trail(t, config.Audit{File: file, Required: true})
	var want []string
	for _, test := range []struct {
		err     error
		outcome string
	}{
		{errors.New("a bug"), "internal"},
		{rpc.Errorf(rpc.UpstreamDown, "gone"), "upstream_down"},
		{context.Canceled, "cancelled"},
		{io.EOF, "cancelled"},
	} {
		want = append(want, test.outcome)
		_ = audited(t, log, rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
			return rpc.NewReply(breaking{test.err}), nil
		}), "somebody")
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range bytes.Lines(text) {
		var e policy.AuditEvent
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Outcome)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// T30: there is a line for each of 10,000 calls of many callers at once, the chain holds,
// also over a restart, and a line that is missing or changed is named.
func TestT30_EveryCallIsAudited(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	const workers, each = 20, 500
	for half := range 2 {
		log := trail(t, config.Audit{File: file, Chain: true, Required: true})
		var all sync.WaitGroup
		for w := range workers / 2 {
			all.Go(func() {
				for i := range each {
					audited(t, log, mixed(w+i), fmt.Sprintf("user %d\r\n\u202e", half))
				}
			})
		}
		all.Wait()
		if err := log.Close(); err != nil || log.Dropped() != 0 {
			t.Fatalf("%v, %d events dropped", err, log.Dropped())
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n, _, err := policy.VerifyAudit(bytes.NewReader(text)); err != nil || n != workers*each {
		t.Fatalf("%d lines, %v", n, err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	var e policy.AuditEvent
	if err := json.Unmarshal(lines[7], &e); err != nil || e.Arguments == "" || e.User == "" || e.Outcome == "" || bytes.Contains(text, []byte("secret")) {
		t.Errorf("%v: %s", err, lines[7])
	}
	for name, change := range map[string]func([][]byte) [][]byte{
		"line 12 ": func(l [][]byte) [][]byte { return append(l[:11:11], l[12:]...) },
		"line 41 ": func(l [][]byte) [][]byte {
			return append(append(l[:40:40], bytes.Replace(l[40], []byte(`"ms":`), []byte(`"ms":1`), 1)), l[41:]...)
		},
		"line 100 ": func(l [][]byte) [][]byte { return append(append(l[:99:99], l[100], l[99]), l[101:]...) },
	} {
		_, _, err := policy.VerifyAudit(bytes.NewReader(bytes.Join(change(lines), nil)))
		if broken := new(policy.ChainError); !errors.As(err, &broken) || !strings.HasPrefix(broken.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// audited makes a call and reads its reply to the end.
func audited(t *testing.T, log *policy.AuditTrail, h rpc.Handler, user string) error {
	t.Helper()
	call := toolCall(t, rpc.Principal{Org: "acme", User: user}, "a__b", `{"password":"secret"}`)
	reply, err := policy.Audit(log, "digest")(h).Handle(t.Context(), call)
	if err != nil {
		return err
	}
	defer reply.Close() //nolint:errcheck // it has nothing to say
	for {
		if _, err := reply.Next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// T30: on a full disk calls are refused where the log is required, and pass elsewhere.
func TestT30_FullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Fatalf("this test needs /dev/full, which Linux has: %v", err)
	}
	for _, required := range []bool{true, false} {
		log := trail(t, config.Audit{File: "/dev/full", Required: required})
		refused := false
		for range 100_000 {
			err := audited(t, log, mixed(2), "somebody")
			if refused = err != nil; refused {
				if rpc.AsError(err).Code != rpc.StateUnavailable {
					t.Fatal(err)
				}
				break
			}
		}
		if refused != required {
			t.Errorf("required %v: refused %v", required, refused)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		if log.Dropped() == 0 {
			t.Errorf("required %v: nothing is said to be dropped", required)
		}
	}
}

// A log that was moved away goes on in a new file, and the chain with it.
func TestAuditFollowsItsName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, moved := filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "audit.1")
	log := trail(t, config.Audit{File: file, Chain: true})
	if err := audited(t, log, mixed(2), "one"); err != nil {
		t.Fatal(err)
	}
	for lines := 0; lines == 0; { // until it is written
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines = bytes.Count(text, []byte("\n"))
	}
	if err := os.Rename(file, moved); err != nil {
		t.Fatal(err)
	}
	if err := audited(t, log, mixed(2), "two"); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(moved)
	second, err2 := os.ReadFile(file)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if n, _, err := policy.VerifyAudit(bytes.NewReader(append(first, second...))); n != 2 || err != nil {
		t.Errorf("%d lines, %v", n, err)
	}
}

func TestAuditRefusesADamagedEnd(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"cut": `{"time":"x"`, "foreign": "{}\n", "no digest": `{"time":"x","remote":"","endpoint":"","method":"","outcome":"","bytesIn":0,"bytesOut":0,"ms":0,"policy":""}` + "\n",
	} {
		file := filepath.Join(t.TempDir(), "audit.jsonl")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if log, err := policy.OpenAudit(config.Audit{File: file, Chain: true}, silent()); err == nil {
			t.Errorf("%s: it is taken", name)
			_ = log.Close()
		}
	}
}

// FuzzVerifyAudit reads what anybody may have written.
func FuzzVerifyAudit(f *testing.F) {
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"time":"2026-11-22T00:00:00Z","remote":"[::1]:1","endpoint":"/mcp","method":"ping","outcome":"ok","bytesIn":1,"bytesOut":2,"ms":3,"policy":"p","digest":"00"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if n, _, err := policy.VerifyAudit(bytes.NewReader(text)); err == nil && n > bytes.Count(text, []byte("\n"))+1 {
			t.Errorf("%d lines of %d", n, bytes.Count(text, []byte("\n")))
		}
	})
}

// waiting is a reply that is closed while somebody waits for its next message.
type waiting struct{ closed chan struct{} }

func (w waiting) Next() (*rpc.Message, error) {
	<-w.closed
	return nil, rpc.Errorf(rpc.Cancelled, "the client left")
}
func (waiting) Answer(*rpc.Message) error { return rpc.ErrNoQuestion }
func (w waiting) Close() error            { close(w.closed); return nil }

// Who waits for a reply and who closes it may be two.
func TestAReplyThatIsClosedWhileItIsReadIsOneLine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "audit.jsonl")
	log := trail(t, config.Audit{File: file, Required: true})
	h := policy.Audit(log, "p")(rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
		return rpc.NewReply(waiting{make(chan struct{})}), nil
	}))
	for range 100 {
		reply, err := h.Handle(t.Context(), toolCall(t, somebody("acme", "", "", ""), "a__b", `{}`))
		if err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() { _, _ = reply.Next() })
		both.Go(func() { _ = reply.Close() })
		both.Wait()
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if got := bytes.Count(text, []byte(`"outcome":"cancelled"`)); err != nil || got != 100 {
		t.Errorf("%d lines, %v", got, err)
	}
}
