package edge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headgate/headgate/router/edge"
	"github.com/headgate/headgate/rpc"
)

func TestCorner5_11_BodiesThatReadersUnderstandInTwoWaysAreRefused(t *testing.T) {
	t.Parallel()
	g := open(t, setup{edge: edge.Config{Depth: 8}})
	bearer := g.session()
	deep := func(n int) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}}`
	}
	tests := []struct {
		name string
		body string
		code int64 // 0 if it is served
		id   string
	}{
		{"nothing", "", -32700, "null"},
		{"space", "  \n", -32700, "null"},
		{"no JSON", "hello", -32700, "null"},
		{"cut", `{"jsonrpc":"2.0","id":7,"method":"pi`, -32700, "null"},
		{"two messages", request("7", "ping") + request("8", "ping"), -32700, "null"},
		{"trailing comma", `{"jsonrpc":"2.0","id":7,"method":"ping",}`, -32700, "null"},
		{"bytes that are no UTF-8", "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"p\xff\"}", -32700, "null"},
		{"byte order mark", "\ufeff" + request("7", "ping"), -32700, "null"},
		{"control character", "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"p\x01\"}", -32700, "null"},
		{"number", "7", -32600, "null"},
		{"batch", "[" + request("7", "ping") + "]", -32600, "null"},
		{"empty batch", "[]", -32600, "null"},
		{"no version", `{"id":7,"method":"ping"}`, -32600, "7"},
		{"other version", `{"jsonrpc":"1.0","id":7,"method":"ping"}`, -32600, "7"},
		{"id null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, -32600, "null"},
		{"id object", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, -32600, "null"},
		{"id true", `{"jsonrpc":"2.0","id":true,"method":"ping"}`, -32600, "null"},
		{"id too long", `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 2000) + `","method":"ping"}`, -32600, "null"},
		{"method and result", `{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}`, -32600, "7"},
		{"method number", `{"jsonrpc":"2.0","id":7,"method":1}`, -32600, "7"},
		{"params array", `{"jsonrpc":"2.0","id":7,"method":"ping","params":[]}`, -32600, "7"},
		{"duplicate method", `{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/call"}`, -32600, "null"},
		{"duplicate id", `{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}`, -32600, "null"},
		{"duplicate name", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","name":"b"}}`, -32600, "null"},
		{"duplicate by escape", `{"jsonrpc":"2.0","id":7,"method":"ping","m\u0065thod":"x"}`, -32600, "null"},
		{"method in capitals", `{"jsonrpc":"2.0","id":7,"METHOD":"ping"}`, -32600, "null"},
		{"params in another fold", `{"jsonrpc":"2.0","id":7,"method":"ping","paramſ":{}}`, -32600, "null"},
		{"arguments too deep", deep(7), -32700, "null"},
		{"arguments as deep as allowed", deep(6), 0, "7"},
		{"space around", " \r\n\t" + request("7", "ping") + "\n ", 0, "7"},
		{"params null", `{"jsonrpc":"2.0","id":7,"method":"ping","params":null}`, 0, "7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := *g
			g.tb = t
			a := g.do("POST", tt.body, bearer...)
			f := failureOf(t, a.body)
			code, want := codeOf(t, a.body), http.StatusBadRequest
			if tt.code == 0 {
				want = http.StatusOK
			}
			if a.status != want || code != tt.code || string(f.ID) != tt.id {
				t.Errorf("%d %s; want %d, code %d, id %s", a.status, a.body, want, tt.code, tt.id)
			}
		})
	}
}

func TestTooLargeBodiesAreNotReadToTheirEnd(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	g := open(t, setup{edge: edge.Config{Body: limit}})
	bearer := strings.Join([]string{"Mcp-Session-Id", g.session()[1]}, ": ")

	fill := func(n int) string {
		const head, tail = `{"jsonrpc":"2.0","id":7,"method":"ping","params":{"x":"`, `"}}`
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}
	t.Run("as large as allowed", func(t *testing.T) {
		t.Parallel()
		c, in := g.dial()
		fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", bearer, limit, fill(limit))
		if status, _ := readAnswer(t, in); status != 200 {
			t.Errorf("status = %d", status)
		}
	})
	t.Run("announced", func(t *testing.T) {
		t.Parallel()
		c, in := g.dial()
		fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", bearer, 5<<20)
		if status, header := readAnswer(t, in); status != 413 || header.Get("Connection") != "close" {
			t.Errorf("status = %d, header %v", status, header)
		}
	})
	t.Run("not announced", func(t *testing.T) {
		t.Parallel()
		c, in := g.dial()
		fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", bearer)
		go func() { // the gate stops reading at some point
			chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<16, strings.Repeat("x", 1<<16))
			for range 80 {
				if _, err := io.WriteString(c, chunk); err != nil {
					return
				}
			}
		}()
		if status, header := readAnswer(t, in); status != 413 || header.Get("Connection") != "close" {
			t.Errorf("status = %d, header %v", status, header)
		}
	})
}

// A body comes in any number of pieces and is the same message.
func TestBodiesInPieces(t *testing.T) {
	t.Parallel()
	g := open(t, setup{handle: func(_ context.Context, c *rpc.Call) (*rpc.Reply, error) {
		args, _ := c.Message.Get("x")
		return rpc.Respond(rpc.NewResult(c.Message.ID, []byte(strconv.Itoa(len(args))))), nil
	}})
	id := g.session()[1]
	for _, size := range []int{1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 300_000, 1_200_000} {
		body := `{"jsonrpc":"2.0","id":7,"method":"x/y","params":{"x":"` + strings.Repeat("x", size) + `"}}`
		want := `{"jsonrpc":"2.0","id":7,"result":` + strconv.Itoa(size+2) + `}`
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			c, in := g.dial()
			fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", id, len(body))
			for rest := body; rest != ""; {
				n := min(len(rest), 1+len(body)/7)
				if _, err := io.WriteString(c, rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if status, got := readBody(t, in); status != 200 || got != want {
				t.Errorf("with a length: %d %s", status, got)
			}
			fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", id)
			for rest := body; rest != ""; {
				n := min(len(rest), 1+len(body)/5)
				fmt.Fprintf(c, "%x\r\n%s\r\n", n, rest[:n])
				rest = rest[n:]
			}
			fmt.Fprint(c, "0\r\n\r\n")
			if status, got := readBody(t, in); status != 200 || got != want {
				t.Errorf("in chunks: %d %s", status, got)
			}
		})
	}
}

func TestSendersThatDoNotGetOnAreHungUpOn(t *testing.T) {
	t.Parallel()
	g := open(t, setup{edge: edge.Config{SlowSender: 50 * time.Millisecond}})
	id := g.session()[1]
	head := "POST /mcp HTTP/1.1\r\nHost: x\r\nMcp-Session-Id: " + id + "\r\nContent-Type: application/json\r\n"
	for name, text := range map[string]string{
		"nothing of the body":    head + "Content-Length: 100\r\n\r\n",
		"half of the body":       head + "Content-Length: 100\r\n\r\n" + `{"jsonrpc":"2.0",`,
		"no chunk":               head + "Transfer-Encoding: chunked\r\n\r\n",
		"half of a chunk":        head + "Transfer-Encoding: chunked\r\n\r\nff\r\n{",
		"a body that is refused": strings.Replace(head, "application/json", "text/plain", 1) + "Content-Length: 100\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, in := g.dial()
			fmt.Fprint(c, text)
			if status, _ := readBody(t, in); status != 400 && status != 415 {
				t.Errorf("status = %d", status)
			}
			if _, err := in.ReadByte(); err == nil {
				t.Error("the connection stays open")
			}
		})
	}
}

// readAnswer reads the head of an answer.
func readAnswer(t *testing.T, in *bufio.Reader) (int, http.Header) {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	return resp.StatusCode, withClose(resp)
}

func readBody(t *testing.T, in *bufio.Reader) (int, string) {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	return resp.StatusCode, string(text)
}

// withClose puts back what ReadResponse takes out of the header.
func withClose(resp *http.Response) http.Header {
	if resp.Close {
		resp.Header.Set("Connection", "close")
	}
	return resp.Header
}
