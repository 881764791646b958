package upstream

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

func TestAHeadThatFitsIsPutBeforeTheBody(t *testing.T) {
	t.Parallel()
	u, err := url.Parse("http://127.0.0.1:1/mcp")
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := NewEndpoint(u, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []int{0, 10, 1 << 10} {
		for _, size := range []int{0, 5, oneWrite + 1} {
			body := append(make([]byte, room), bytes.Repeat([]byte("b"), size)...)
			var buf []byte
			msg, err := (&Request{Method: "POST", Endpoint: endpoint, Body: body, Room: room, Tail: []byte("tail")}).render(&buf)
			if err != nil {
				t.Fatal(err)
			}
			sent := string(msg[0]) + string(msg[1]) + string(msg[2])
			if want := fmt.Sprintf("Content-Length: %d\r\n\r\n%stail", size+4, strings.Repeat("b", size)); !strings.HasSuffix(sent, want) || !strings.HasPrefix(sent, "POST /mcp HTTP/1.1\r\n") {
				t.Errorf("room %d, body %d: sent %.200q", room, size, sent)
			}
			if apart := len(msg[1]) > 0; apart != (room < 500 && size > oneWrite) {
				t.Errorf("room %d, body %d: head and body apart: %v", room, size, apart)
			}
		}
	}
}
