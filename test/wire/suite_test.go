package wire_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
)

// suiteFiles returns the files of the test suite for JSON parsers by N. Seriot (MIT),
// by name. A file called y_… must be accepted, n_… must be refused, i_… may be either.
// The parser that is also a judge here brings them along in its module.
func suiteFiles(t *testing.T) map[string][]byte {
	t.Helper()
	const module = "github.com/dpb587/inspectjson-go"
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		t.Fatalf("where is module %s: %v (run: go mod download)", module, err)
	}
	f, err := os.Open(filepath.Join(strings.TrimSpace(string(dir)), "testsuites", "nst-JSONTestSuite", "testdata.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for archive := tar.NewReader(zipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if dir, name := path.Split(path.Clean(header.Name)); dir == "test_parsing/" {
			if out[name], err = io.ReadAll(archive); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(out) != 318 {
		t.Fatalf("the suite has %d files, want 318", len(out))
	}
	return out
}

// arguments wraps text as the arguments of a tool, where anything may stand.
func arguments(text []byte) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":%s}}`, text)
}

func TestSuiteAsArguments(t *testing.T) {
	t.Parallel()
	for name, text := range suiteFiles(t) {
		_, err := rpc.Parse(arguments(text), rpc.Limits{})
		switch {
		case strings.HasPrefix(name, "y_") && err != nil:
			t.Errorf("%s: %.100q must be accepted: %v", name, text, err)
		case strings.HasPrefix(name, "n_") && err == nil:
			t.Errorf("%s: %.100q must be refused", name, text)
		}
	}
}

// places are where a text of the suite is put into a message.
var places = map[string]string{
	"body":            `%s`,
	"arguments":       `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"t","arguments":%s,"uri":"u"}}`,
	"id":              `{"jsonrpc":"2.0","id":%s,"method":"m"}`,
	"method":          `{"jsonrpc":"2.0","id":1,"method":%s}`,
	"params":          `{"jsonrpc":"2.0","id":1,"method":"m","params":%s}`,
	"name":            `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":%s}}`,
	"uri":             `{"jsonrpc":"2.0","id":1,"method":"m","params":{"x":{},"uri":%s,"name":7}}`,
	"_meta":           `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"t","_meta":%s}}`,
	"unknown member":  `{"jsonrpc":"2.0","id":1,"x":%s,"method":"m"}`,
	"result":          `{"jsonrpc":"2.0","id":"r","result":%s}`,
	"error data":      `{"jsonrpc":"2.0","id":"r","error":{"code":1,"message":"","data":%s}}`,
	"name of member":  `{"jsonrpc":"2.0",%s:1,"id":1,"method":"m"}`,
	"name of param":   `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"t",%s:{"name":2},"uri":"u"}}`,
	"before":          `%s {"jsonrpc":"2.0","id":1,"method":"m"}`,
	"after":           `{"jsonrpc":"2.0","id":1,"method":"m"} %s`,
	"between members": `{"jsonrpc":"2.0","id":1, %s "method":"m"}`,
}

// TestSuiteAtEveryPlace puts each text of the suite, and what is inside the array that
// most of them are, into messages. What is accepted must be read alike by everybody.
func TestSuiteAtEveryPlace(t *testing.T) {
	t.Parallel()
	reader := startNode(t)
	accepted := map[string]int{}
	for name, text := range suiteFiles(t) {
		texts := [][]byte{text}
		if inner := bytes.TrimSpace(text); len(inner) > 2 && len(inner) < 4096 && inner[0] == '[' && inner[len(inner)-1] == ']' {
			texts = append(texts, inner[1:len(inner)-1])
		}
		for place, format := range places {
			for _, text := range texts {
				body := bytes.Replace([]byte(format), []byte("%s"), text, 1)
				if judge(t, reader, name+" as "+place, body) {
					accepted[place]++
				}
			}
		}
	}
	for place := range places {
		if n := accepted[place]; n == 0 && place != "body" {
			t.Errorf("nothing was accepted as %s: the place tests nothing", place)
		}
	}
}

// judge reads a body with the codec. If it is accepted, all other readers must find
// the same in it.
func judge(t *testing.T, reader *node, what string, body []byte) (accepted bool) {
	t.Helper()
	m, err := rpc.Parse(body, rpc.Limits{})
	if err != nil {
		return false
	}
	got, err := byCodec(m)
	if err != nil {
		t.Errorf("%s: %.300q: %v", what, body, err)
		return true
	}
	for by, read := range map[string]func([]byte) (reading, error){"encoding/json": byStandard, "inspectjson": byTokens} {
		if other, err := read(body); err != nil || !got.agrees(other) {
			t.Errorf("%s: %.300q\naccepted as %+v\n%s reads %+v, %v", what, body, got, by, other, err)
		}
	}
	if other, ok := reader.read(t, body); !ok || !got.rounded().agrees(other) {
		t.Errorf("%s: %.300q\naccepted as %+v\nNode.js reads %+v, %v", what, body, got, other, ok)
	}
	return true
}
