package wire_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"os/exec"
	"sync"
	"testing"
)

// node is a process that reads messages by JSON.parse, one at a time.
type node struct {
	mu  sync.Mutex
	in  io.WriteCloser
	out *bufio.Reader
}

// startNode starts the reader, which lives as long as the test.
func startNode(t *testing.T) *node {
	t.Helper()
	path := findNode(t)
	cmd := exec.CommandContext(t.Context(), path, "testdata/reader.js")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // ends it
		_ = cmd.Wait()
	})
	return &node{in: in, out: bufio.NewReaderSize(out, 1<<20)}
}

// findNode passes over the test under "go test -short", and fails it where there is
// no Node.js.
func findNode(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Node.js")
	}
	path, err := exec.LookPath("node")
	if err != nil {
		t.Fatalf("%v: install Node.js 20 or later and put it into PATH", err)
	}
	return path
}

// read returns what Node.js finds in a message; false if JSON.parse refuses it. Numbers
// are told by their bits.
func (n *node) read(t *testing.T, body []byte) (reading, bool) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	line := base64.StdEncoding.EncodeToString(body) + "\n"
	if _, err := io.WriteString(n.in, line); err != nil {
		t.Fatalf("node: %v", err)
	}
	answer, err := n.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	type described struct {
		Kind, Text string
		Whole      *bool // of a string: no half of a surrogate pair in it
	}
	var a struct {
		Accepted              bool
		Method, ID, Name, URI described
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatalf("node answered %q: %v", answer, err)
	}
	to := func(d described) value {
		if d.Whole != nil && !*d.Whole {
			d.Kind = "broken string"
		}
		return value{d.Kind, d.Text}
	}
	return reading{to(a.Method), to(a.ID), to(a.Name), to(a.URI)}, a.Accepted
}
