package generator

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"testing"

	"github.com/headgate/headgate/test/fake"
)

// listening opens a session with its stream.
func listening(t *testing.T, url string, local netip.Addr) *Session {
	t.Helper()
	session, err := OpenSession(t.Context(), url, local)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	if err := session.Listen(); err != nil {
		t.Fatal(err)
	}
	return session
}

func TestStreamHearsOfNewToolsAndOfItsEnd(t *testing.T) {
	t.Parallel()
	server, url := upstream(t, fake.Config{}, "a")
	stream := listening(t, url, netip.MustParseAddr("127.0.0.9"))
	server.SetTools([]fake.Tool{{Name: "a"}, {Name: "b"}})
	message, err := stream.Next()
	if want := `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`; err != nil || string(message) != want {
		t.Errorf("Next = %s, %v; want %s", message, err, want)
	}
	session, err := OpenSession(t.Context(), url, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if n, err := session.CountTools(); n != 2 || err != nil {
		t.Errorf("CountTools = %d, %v", n, err)
	}
	server.Close()
	if message, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("Next after the end = %s, %v", message, err)
	}
}

func TestEventsAreReadAcrossChunks(t *testing.T) {
	t.Parallel()
	answers := []string{
		"HTTP/1.1 200 OK\r\nMcp-Session-Id: s\r\nContent-Length: 46\r\n\r\n" + `{"id":0,"result":{"protocolVersion":"a"},"x":1}`[:46],
		"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"4\r\n: hb\r\n" + "2\r\n\n\n\r\n" + "7\r\ndata: 1\r\n" + "1\r\n\n\r\n" + "C\r\n\r\ndata: 2\r\n\r\r\n" + "1\r\n\n\r\n" + "0\r\n\r\n",
	}
	address := answering(t, func(*http.Request, string) ([]string, bool) {
		answer := answers[0]
		answers = answers[1:]
		return []string{answer}, false
	})
	stream := listening(t, "http://"+address+"/mcp", netip.Addr{})
	for _, want := range []string{"1", "2"} {
		if got, err := stream.Next(); err != nil || string(got) != want {
			t.Fatalf("Next = %q, %v; want %s", got, err, want)
		}
	}
	if got, err := stream.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("Next at the end = %q, %v", got, err)
	}
}

func TestSessionsAreRefusedWhereThereAreNone(t *testing.T) {
	t.Parallel()
	_, modern := upstream(t, fake.Config{Eras: fake.Modern}, "a")
	for _, url := range []string{modern, "http://127.0.0.1:1/", "no URL"} {
		if session, err := OpenSession(t.Context(), url, netip.Addr{}); err == nil {
			session.Close()
			t.Errorf("a session was opened at %s", url)
		}
	}
}

func TestListenNeedsAnEventStream(t *testing.T) {
	t.Parallel()
	_, url := upstream(t, fake.Config{}, "a")
	session, err := OpenSession(t.Context(), url, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	session.id = "another"
	if err := session.Listen(); err == nil {
		t.Error("a stream without a session was opened")
	}
}
