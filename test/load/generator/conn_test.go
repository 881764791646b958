package generator

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answering starts a server that reads requests and answers each with the bytes that script gives, in pieces, one write
// each. It closes the connection after an answer where script says so.
func answering(t *testing.T, script func(request *http.Request, body string) (pieces []string, hangUp bool)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			socket, err := listener.Accept()
			if err != nil {
				return
			}
			go converse(socket, script)
		}
	}()
	return listener.Addr().String()
}

func converse(socket net.Conn, script func(*http.Request, string) ([]string, bool)) {
	defer socket.Close()
	reader := bufio.NewReader(socket)
	for {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		pieces, hangUp := script(request, string(body))
		for _, piece := range pieces {
			if _, err := io.WriteString(socket, piece); err != nil {
				return
			}
		}
		if hangUp {
			return
		}
	}
}

func plain(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

func TestAnswersAreReadHoweverTheyArrive(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	byBytes := strings.Split(plain("abc"), "")
	tests := []struct {
		name   string
		pieces []string
		want   response
	}{
		{"whole", []string{plain("abc")}, response{head{status: 200, length: 3}, []byte("abc")}},
		{"byte by byte", byBytes, response{head{status: 200, length: 3}, []byte("abc")}},
		{"longer than the buffer", []string{plain(long)}, response{head{status: 200, length: len(long)}, []byte(long)}},
		{"after a 100", []string{"HTTP/1.1 100 Continue\r\n\r\n" + plain("abc")}, response{head{status: 200, length: 3}, []byte("abc")}},
		{"empty", []string{"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"}, response{head{status: 202, closing: true}, nil}},
		{"no content", []string{"HTTP/1.1 204 No Content\r\n\r\n"}, response{head{status: 204, length: -1}, nil}},
		{
			"chunks",
			[]string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream; charset=utf-8\r\nMCP-Session-Id: s\r\n\r\n3\r\nab", "c\r\nA;x=y\r\n0123456789\r\n0", "\r\nTrailer: x\r\n\r\n"},
			response{head{status: 200, length: -1, chunked: true, events: true, session: "s"}, []byte("abc0123456789")},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := answering(t, func(*http.Request, string) ([]string, bool) { return tt.pieces, false })
			c, err := dial(t.Context(), address, nil, 10*time.Second, 64)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			for range 3 { // the same connection again: nothing may be left over
				got, err := c.roundTrip([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(response{}, head{})); diff != "" {
					t.Fatalf("answer (-want +got):\n%s", diff)
				}
			}
			if c.start != c.end {
				t.Errorf("%d bytes are left over", c.end-c.start)
			}
		})
	}
}

func TestBrokenAnswersAreErrors(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing":              "",
		"no HTTP":              "SSH-2.0-x\r\n\r\n",
		"old HTTP":             "HTTP/1.0 200 OK\r\n\r\n",
		"no status":            "HTTP/1.1 2x0 OK\r\n\r\n",
		"no colon":             "HTTP/1.1 200 OK\r\nContent-Length 1\r\n\r\n",
		"negative length":      "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"two lengths":          "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
		"no length":            "HTTP/1.1 200 OK\r\n\r\nabc",
		"too long":             "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"body cut off":         plain("abc")[:len(plain("abc"))-1],
		"head cut off":         "HTTP/1.1 200 OK\r\nContent-Le",
		"endless head":         "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10),
		"chunk without size":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
		"chunk of wrong size":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
		"huge chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
		"chunks without end":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"chunk trailer cutoff": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := answering(t, func(*http.Request, string) ([]string, bool) { return []string{answer}, true })
			c, err := dial(t.Context(), address, nil, 10*time.Second, 64)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if got, err := c.roundTrip([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err == nil {
				t.Errorf("roundTrip = %+v, want an error", got)
			}
		})
	}
}
