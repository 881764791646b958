package generator

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// template is the requests of one connection to one route, but for the id and the nonce.
type template struct {
	head   []byte // up to the value of Content-Length
	opens  []byte // body up to the id
	middle []byte // body from the id to the nonce
	closes []byte // body from the nonce to the end, payload included
}

// newTemplate returns the template for calls of a tool. session is the legacy session's id, if there is one.
func newTemplate(c *Config, e endpoint, session string, text []byte) *template {
	fields, meta := []string{revisionField(c.Era)}, ""
	if c.Era == Modern {
		fields = append(fields, "Mcp-Method: tools/call", "Mcp-Name: "+e.tool)
		meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modernRevision + `",` +
			`"io.modelcontextprotocol/clientInfo":{"name":"load","version":"1.0.0"},"io.modelcontextprotocol/clientCapabilities":{}},`
	}
	return &template{
		head:   postHead(c, e, session, fields...),
		opens:  []byte(`{"jsonrpc":"2.0","id":`),
		middle: []byte(`,"method":"tools/call","params":{"name":"` + e.tool + `",` + meta + `"arguments":{"nonce":"`),
		closes: slices.Concat([]byte(`","text":"`), text, []byte(`"}}}`)),
	}
}

// build returns the request with this id and nonce in room, or in more room where that is too small.
func (t *template) build(room, id, nonce []byte) []byte {
	length := len(t.opens) + len(id) + len(t.middle) + len(nonce) + len(t.closes)
	request := append(room[:0], t.head...)
	request = strconv.AppendInt(request, int64(length), 10)
	request = append(request, "\r\n\r\n"...)
	request = append(append(request, t.opens...), id...)
	request = append(append(request, t.middle...), nonce...)
	return append(request, t.closes...)
}

// postHead returns the head of a POST up to the value of Content-Length.
func postHead(c *Config, e endpoint, session string, fields ...string) []byte {
	fields = append(fields, "Content-Type: application/json", "Accept: application/json, text/event-stream")
	return append(requestHead(http.MethodPost, c, e, session, fields...), "Content-Length: "...)
}

// revisionField is the header field that names the revision.
func revisionField(era Era) string {
	if era == Legacy {
		return "MCP-Protocol-Version: " + legacyRevision
	}
	return "MCP-Protocol-Version: " + modernRevision
}

// requestHead returns the request line and the header fields that every request has.
func requestHead(method string, c *Config, e endpoint, session string, fields ...string) []byte {
	fields = append([]string{"Host: " + e.address}, fields...)
	if session != "" {
		fields = append(fields, "Mcp-Session-Id: "+session)
	}
	for name, values := range c.Header {
		for _, value := range values {
			fields = append(fields, name+": "+value)
		}
	}
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\n%s\r\n", method, e.path, strings.Join(fields, "\r\n"))
}
