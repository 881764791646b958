package wire_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/test/peer"
)

// eachSchema is how many instances of a message are made for each revision.
const eachSchema = 2000

// published returns the schemas of the protocol by revision. They are those that the
// official conformance suite validates with.
func published(t *testing.T) map[rpc.Revision]map[string]any {
	t.Helper()
	suite := filepath.Join(peer.Dir(t), "tools", "node_modules", "@modelcontextprotocol", "conformance", "dist", "index.js")
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), findNode(t), "testdata/schemas.js", suite)
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("schemas of the conformance suite: %v\n%s", err, stderr.Bytes())
	}
	var out map[rpc.Revision]map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSchemasAllow makes requests and notifications of each kind that a client of a
// revision may send. The codec must accept them, and the tables must know them.
func TestSchemasAllow(t *testing.T) {
	t.Parallel()
	schemas := published(t)
	// What clients send is the same in 2024-11-05 and 2025-03-26, but for a message in
	// progress notifications, and the suite does not carry the older schema.
	schemas["2024-11-05"] = schemas["2025-03-26"]
	kinds := map[rpc.Revision]int{}
	for _, revision := range mcp.Supported() {
		s := newSchema(t, schemas[revision])
		for _, union := range []string{"ClientRequest", "ClientNotification"} {
			for _, name := range s.alternatives(union) {
				kinds[revision]++
				t.Run(string(revision)+"/"+name, func(t *testing.T) {
					t.Parallel()
					s.checkMessages(t, revision, name)
				})
			}
		}
	}
	want := map[rpc.Revision]int{"2024-11-05": 17, "2025-03-26": 17, "2025-06-18": 17, "2025-11-25": 22, "2026-07-28": 11}
	for revision, n := range want {
		if kinds[revision] != n {
			t.Errorf("%s: %d kinds of message, want %d", revision, kinds[revision], n)
		}
	}
}

// schema is the published schema of one revision.
type schema struct {
	document    map[string]any
	definitions map[string]any
	section     string // where the definitions are
	mu          sync.Mutex
	compiler    *jsonschema.Compiler
}

func newSchema(t *testing.T, document map[string]any) *schema {
	t.Helper()
	s := &schema{document: document, compiler: jsonschema.NewCompiler()}
	for _, section := range []string{"$defs", "definitions"} {
		if definitions, ok := document[section].(map[string]any); ok {
			s.definitions, s.section = definitions, section
		}
	}
	if s.definitions == nil {
		t.Fatal("a schema has no definitions")
	}
	if err := s.compiler.AddResource("mem:///schema.json", document); err != nil {
		t.Fatal(err)
	}
	return s
}

// alternatives returns the names of the messages that a union is made of.
func (s *schema) alternatives(union string) []string {
	definition := s.definitions[union].(map[string]any)
	list, ok := definition["anyOf"].([]any)
	if !ok {
		return []string{union} // the union of one
	}
	var out []string
	for _, alternative := range list {
		ref := alternative.(map[string]any)["$ref"].(string)
		out = append(out, ref[strings.LastIndexByte(ref, '/')+1:])
	}
	return out
}

func (s *schema) validator(t *testing.T, definition string) *jsonschema.Schema {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.compiler.Compile("mem:///schema.json#/" + s.section + "/" + definition)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func (s *schema) checkMessages(t *testing.T, revision rpc.Revision, name string) {
	t.Helper()
	kind := s.validator(t, name)
	envelope := s.validator(t, "JSONRPCRequest")
	request := !strings.HasSuffix(name, "Notification")
	if !request {
		envelope = s.validator(t, "JSONRPCNotification")
	}
	for seed := range uint64(eachSchema) {
		i := &instances{generator: newGenerator(seed, 0), definitions: s.definitions}
		message := i.of(s.definitions[name], 0).(map[string]any)
		message["jsonrpc"] = "2.0"
		if request && message["id"] == nil {
			message["id"] = i.of(s.definitions["RequestId"], 0)
		}
		for _, v := range []*jsonschema.Schema{kind, envelope} {
			if err := v.Validate(message); err != nil {
				t.Fatalf("seed %d: the instance is none: %v\n%v", seed, err, message)
			}
		}
		text := i.write(message)
		m, err := rpc.Parse(text, rpc.Limits{})
		if err != nil {
			t.Fatalf("seed %d: %s\nwas refused: %v", seed, text, err)
		}
		if m.Method != message["method"] || m.IsRequest() != request || m.IsNotification() == request {
			t.Fatalf("seed %d: %s\nwas read as %q, request %v", seed, text, m.Method, m.IsRequest())
		}
		checkTables(t, m, revision)
		if t.Failed() {
			t.Fatalf("seed %d: %s", seed, text)
		}
	}
}

// checkTables looks a message up as the edge does.
func checkTables(t *testing.T, m *rpc.Message, revision rpc.Revision) {
	t.Helper()
	row, found := mcp.Lookup(m.Method, revision)
	switch {
	case found && row.Subject != "":
		if _, ok := m.Text(string(row.Subject)); !ok {
			t.Errorf("%s has no subject", m.Method)
		}
	case !found && !mcp.Known(m.Method) && !strings.Contains(m.Method, "tasks/"):
		t.Errorf("%s is in no table", m.Method)
	}
	if !mcp.IsModern(revision) || !m.IsRequest() {
		return
	}
	client, err := mcp.ClientOf(m)
	if err != nil || client.Revision != revision {
		t.Errorf("client of revision %q: %v", client.Revision, err)
	}
	h := http.Header{}
	h.Set(mcp.HeaderVersion, string(revision))
	h.Set(mcp.HeaderMethod, m.Method)
	if field := mcp.MirroredSubject(m.Method); field != "" {
		subject, _ := m.Text(string(field))
		h.Set(mcp.HeaderName, mcp.EncodeHeader(subject))
	}
	if err := mcp.CheckHeaders(h, m); err != nil {
		t.Error(err)
	}
}
