package fake_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headgate/headgate/test/fake"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// pipe runs a server on pipes and returns both of the client's ends.
func pipe(t *testing.T, server *fake.Server) (io.WriteCloser, *bufio.Reader) {
	t.Helper()
	serverIn, clientOut := io.Pipe()
	clientIn, serverOut := io.Pipe()
	done := make(chan error, 1)
	ctx := t.Context()
	go func() {
		err := server.ServeStdio(ctx, serverIn, serverOut)
		_ = serverOut.Close()
		done <- err
	}()
	t.Cleanup(func() {
		_ = clientOut.Close()
		_ = clientIn.Close()
		if err := <-done; err != nil {
			t.Errorf("ServeStdio: %v", err)
		}
	})
	return clientOut, bufio.NewReader(clientIn)
}

func TestStdioAnswersEveryCallOnce(t *testing.T) {
	t.Parallel()
	const calls = 500
	server := fake.New(fake.Config{Tools: []fake.Tool{{Name: "echo", Behaviour: fake.Delayed(fake.UpTo(2*time.Millisecond), fake.Echo)}}})
	in, out := pipe(t, server)
	go func() {
		for i := range calls {
			id := strconv.Itoa(i)
			if rand.IntN(2) == 0 {
				id = `"` + id + `"`
			}
			fmt.Fprintf(in, `{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"echo","arguments":{"nonce":"n%d"}}}`+"\n", id, i)
		}
	}()
	seen := map[string]bool{}
	for range calls {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var n int
		plain := strings.Replace(strings.Replace(line, `"id":"`, `"id":`, 1), `","result"`, `,"result"`, 1)
		if _, err := fmt.Sscanf(plain, `{"jsonrpc":"2.0","id":%d,"result":{"content":`, &n); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !strings.Contains(line, fmt.Sprintf(`"text":"n%d"`, n)) || seen[strconv.Itoa(n)] {
			t.Errorf("answer of another call, or a second one: %s", line)
		}
		seen[strconv.Itoa(n)] = true
	}
}

func TestStdioEras(t *testing.T) {
	t.Parallel()
	discover := `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + modernMeta + `}}`
	raw := fake.Tool{Name: "raw", Behaviour: fake.Result([]byte("{\r\n\"a\": 1 }"))}
	tests := []struct {
		name           string
		config         fake.Config
		send, contains string
	}{
		{"both, modern probe", fake.Config{}, discover, `"supportedVersions":["2026-07-28","2025-11-25"`},
		{"both, initialize", fake.Config{}, initializeBody, `"protocolVersion":"2025-11-25"`},
		{"legacy, modern probe", fake.Config{Eras: fake.Legacy}, discover, `"code":-32601`},
		{"modern, initialize", fake.Config{Eras: fake.Modern}, initializeBody, `"supported":["2026-07-28"],"requested":"2025-11-25"`},
		{"modern, unknown revision", fake.Config{Eras: fake.Modern}, strings.Replace(discover, "2026-07-28", "2031-01-01", 1), `"supported":["2026-07-28"]`},
		{"garbage", fake.Config{}, `}`, `"code":-32700`},
		{"line ends in a result", fake.Config{Tools: []fake.Tool{raw}}, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"raw"}}`, `"result":{  "a": 1 }}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in, out := pipe(t, fake.New(tt.config))
			if _, err := io.WriteString(in, tt.send+"\n"); err != nil {
				t.Fatal(err)
			}
			line, err := out.ReadString('\n')
			if err != nil || !strings.Contains(line, tt.contains) {
				t.Errorf("got %q, %v; want %s", line, err, tt.contains)
			}
		})
	}
}

func TestStdioCancelAndEndStopTheCalls(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 2)
	watch := func(ctx context.Context, c *fake.Call) ([]byte, error) {
		result, err := fake.Hang(ctx, c)
		ended <- err
		return result, err
	}
	server := fake.New(fake.Config{Record: true, Tools: []fake.Tool{{Name: "hang", Behaviour: watch}}})
	in, out := pipe(t, server)
	const call = `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"hang"}}` + "\n"
	fmt.Fprintf(in, call+call, 1, 2)
	fmt.Fprintln(in, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	<-ended
	_ = in.Close()
	<-ended
	if rest, err := io.ReadAll(out); err != nil || len(rest) != 0 {
		t.Errorf("after the cancel came %q, %v", rest, err)
	}
	if n := len(server.Received()); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
}

func TestStdioLegacyClientsHearBroadcasts(t *testing.T) {
	t.Parallel()
	server := fake.New(fake.Config{})
	in, out := pipe(t, server)
	fmt.Fprintln(in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	fmt.Fprintln(in, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	if _, err := out.ReadString('\n'); err != nil { // the ping's answer: the notification before it was acted on
		t.Fatal(err)
	}
	server.SetTools(nil)
	line, err := out.ReadString('\n')
	if want := `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` + "\n"; err != nil || line != want {
		t.Errorf("got %q, %v", line, err)
	}
}
