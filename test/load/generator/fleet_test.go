package generator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/test/fake"
)

// upstream starts a fake server with an echo tool of this name.
func upstream(t *testing.T, config fake.Config, tool string) (*fake.Server, string) {
	t.Helper()
	config.Tools = []fake.Tool{{Name: tool, Behaviour: fake.Progressing(1, 0, fake.Echo)}}
	server := fake.New(config)
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return server, listener.URL
}

func TestEveryCallOfAFleetIsAnswered(t *testing.T) {
	t.Parallel()
	for _, era := range []Era{Legacy, Modern} {
		for _, sse := range []bool{false, true} {
			for _, id := range []string{"", "1", `"é"`} {
				for _, size := range []int{0, 256, 65536} {
					t.Run("", func(t *testing.T) {
						t.Parallel()
						first, a := upstream(t, fake.Config{SSE: sse}, "a")
						second, b := upstream(t, fake.Config{SSE: sse}, "b")
						fleet, err := Connect(t.Context(), Config{
							Routes:      []Route{{a + "/x", "a"}, {b + "/y", "b"}, {a + "/z", "a"}},
							Era:         era,
							Connections: 5,
							Payload:     size,
							ID:          id,
							Header:      http.Header{"X-Test": {"1"}},
						})
						if err != nil {
							t.Fatal(err)
						}
						report := fleet.Run(t.Context(), Work{Calls: 40})
						if report.Calls != 40 || report.Failed() != 0 || report.Latency.Count() != 40 {
							t.Errorf("%d calls, failures %v", report.Calls, report.Examples)
						}
						if again := fleet.Run(t.Context(), Work{Calls: 7}); again.Calls != 7 {
							t.Errorf("second run: %d calls", again.Calls)
						}
						// Five connections: three to the first address with two paths, two to the second.
						wantA, wantB := 6, 2
						if era == Modern {
							wantA, wantB = 0, 0
						}
						if first.Sessions() != wantA || second.Sessions() != wantB {
							t.Errorf("%d and %d sessions, want %d and %d", first.Sessions(), second.Sessions(), wantA, wantB)
						}
						fleet.Close(t.Context())
						if left := first.Sessions() + second.Sessions(); left != 0 {
							t.Errorf("%d sessions are left", left)
						}
					})
				}
			}
		}
	}
}

func TestRunEndsWithTheContextOrTheTime(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, fake.Config{}, "a")
	fleet, err := Connect(t.Context(), Config{Routes: []Route{{url, "a"}}, Era: Modern, Connections: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close(t.Context())
	if report := fleet.Run(t.Context(), Work{Duration: time.Millisecond}); report.Failed() != 0 || report.Elapsed < time.Millisecond {
		t.Errorf("%+v", report.Examples)
	}
}

func TestFaultsOfAServerAreCounted(t *testing.T) {
	t.Parallel()
	right := func(body string) string {
		var call struct {
			ID     json.RawMessage
			Params struct {
				Arguments struct{ Nonce, Text json.RawMessage }
			}
		}
		if err := json.Unmarshal([]byte(body), &call); err != nil {
			return err.Error()
		}
		return `{"jsonrpc":"2.0","id":` + string(call.ID) + `,"result":{"resultType":"complete","content":[{"text":` +
			string(call.Params.Arguments.Nonce) + `},{"text":` + string(call.Params.Arguments.Text) + `}]}}`
	}
	var mu sync.Mutex
	previous := ""
	tests := map[Fault]func(body string) ([]string, bool){
		"":        func(body string) ([]string, bool) { return []string{plain(right(body))}, false },
		Transport: func(string) ([]string, bool) { return []string{plain("abc")[:40]}, true },
		WrongID: func(body string) ([]string, bool) {
			return []string{plain(right(strings.Replace(body, `"id":`, `"id":1`, 1)))}, false
		},
		WrongPayload: func(body string) ([]string, bool) {
			return []string{plain(right(strings.Replace(body, "the", "teh", 1)))}, false
		},
		Duplicate: func(body string) ([]string, bool) { return []string{plain(right(body)) + plain(right(body))}, false },
		Status: func(string) ([]string, bool) {
			return []string{"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"}, false
		},
		WrongNonce: func(body string) ([]string, bool) { // the answer to the call before, under this call's id
			mu.Lock()
			defer mu.Unlock()
			if previous == "" {
				previous = strings.Replace(body, "nonce\":\"", "nonce\":\"0", 1)
			}
			return []string{plain(right(previous))}, false
		},
	}
	for fault, answer := range tests {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			address := answering(t, func(_ *http.Request, body string) ([]string, bool) { return answer(body) })
			fleet, err := Connect(t.Context(), Config{
				Routes: []Route{{"http://" + address + "/", "a"}}, Era: Modern, Connections: 1, Payload: 1000, ID: "1",
			})
			if err != nil {
				t.Fatal(err)
			}
			defer fleet.Close(t.Context())
			report := fleet.Run(t.Context(), Work{Calls: 3})
			want := map[Fault]int64{fault: 3}
			if fault == "" {
				want = map[Fault]int64{}
			}
			if diff := cmp.Diff(want, report.Failures); diff != "" {
				t.Errorf("failures (-want +got):\n%s%v", diff, report.Examples)
			}
			if report.Calls+report.Failed() != 3 {
				t.Errorf("%d right and %d failed calls, want 3 together", report.Calls, report.Failed())
			}
		})
	}
}

func TestAConnectionGivesUpOnADeadServer(t *testing.T) {
	t.Parallel()
	address := answering(t, func(*http.Request, string) ([]string, bool) { return nil, true })
	fleet, err := Connect(t.Context(), Config{Routes: []Route{{"http://" + address + "/", "a"}}, Era: Modern, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close(t.Context())
	if report := fleet.Run(t.Context(), Work{}); report.Failures[Transport] != patience || report.Calls != 0 {
		t.Errorf("failures %v, want %d of transport", report.Failures, patience)
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	good := Config{Routes: []Route{{"http://127.0.0.1:1/mcp", "a"}}, Era: Legacy, Connections: 1}
	for name, spoil := range map[string]func(*Config){
		"era":         func(c *Config) { c.Era = "old" },
		"connections": func(c *Config) { c.Connections = 0 },
		"payload":     func(c *Config) { c.Payload = -1 },
		"routes":      func(c *Config) { c.Routes = nil },
		"https":       func(c *Config) { c.Routes = []Route{{"https://127.0.0.1:1/mcp", "a"}} },
		"no port":     func(c *Config) { c.Routes = []Route{{"http://127.0.0.1/mcp", "a"}} },
		"no URL":      func(c *Config) { c.Routes = []Route{{"http://[", "a"}} },
		"tool":        func(c *Config) { c.Routes = []Route{{"http://127.0.0.1:1/mcp", "a b"}} },
		"nobody home": func(*Config) {},
	} {
		c := good
		spoil(&c)
		if _, err := Connect(t.Context(), c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPayloadsAreOfExactSizeAndValid(t *testing.T) {
	t.Parallel()
	for size := range 600 {
		text := payload(size, uint64(size))
		if len(text) != size || !json.Valid([]byte(`"`+string(text)+`"`)) {
			t.Fatalf("payload(%d) = %q", size, text)
		}
	}
	if string(payload(256, 1)) == string(payload(256, 2)) {
		t.Error("two seeds give one text")
	}
}
