package fake

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// method is a row of the method table: the eras that have it and what answers it.
type method struct {
	eras  Era
	serve func(s *Server, ctx context.Context, c *Call) ([]byte, error)
}

// lookup returns the row of a method in an era.
func lookup(name string, era Era) (method, bool) {
	row, ok := methodTable[name]
	return row, ok && row.eras&era != 0
}

var methodTable = map[string]method{
	"initialize":           {Legacy, (*Server).initialize},
	"ping":                 {Legacy, func(*Server, context.Context, *Call) ([]byte, error) { return []byte(`{}`), nil }},
	"server/discover":      {Modern, (*Server).discover},
	"tools/list":           {Legacy | Modern, (*Server).listTools},
	"tools/call":           {Legacy | Modern, (*Server).callTool},
	"subscriptions/listen": {Modern, (*Server).listen},
	"tasks/get":            {Legacy | Modern, (*Server).serveTask},
	"tasks/update":         {Modern, (*Server).serveTask},
	"tasks/cancel":         {Legacy | Modern, (*Server).serveTask},
	"tasks/result":         {Legacy, (*Server).serveTask},
}

// legacyRevisions are the revisions that initialize may agree on.
func legacyRevisions() []string {
	return []string{newestLegacy, "2025-06-18", "2025-03-26", "2024-11-05"}
}

// openResult returns the beginning of a complete result, up to its next member.
func openResult(era Era) string {
	if era == Modern {
		return `{"resultType":"complete",`
	}
	return `{`
}

// initialize agrees on the requested revision where it is known and else offers the newest (MCP 2025-11-25, Lifecycle).
func (s *Server) initialize(_ context.Context, c *Call) ([]byte, error) {
	revision := unquote(rawjson.Member(c.Params, "protocolVersion"))
	if revision == "" {
		return nil, &Error{Code: codeInvalidParams, Message: "initialize needs protocolVersion"}
	}
	if !slices.Contains(legacyRevisions(), revision) {
		revision = newestLegacy
	}
	result := fmt.Appendf(nil, `{"protocolVersion":%s,"capabilities":%s,"serverInfo":%s`, quote(revision), s.config.Capabilities, s.info())
	return append(s.appendInstructions(result), '}'), nil
}

// discover answers server/discover (MCP 2026-07-28).
func (s *Server) discover(_ context.Context, c *Call) ([]byte, error) {
	result := append([]byte(openResult(c.Era)), `"supportedVersions":`...)
	result = append(result, s.supported()...)
	result = fmt.Appendf(result, `,"capabilities":%s`, s.config.Capabilities)
	result = s.appendFreshness(s.appendInstructions(result))
	return fmt.Appendf(result, `,"_meta":{"io.modelcontextprotocol/serverInfo":%s}}`, s.info()), nil
}

// listTools answers one page; a cursor is the index of the page's first tool.
func (s *Server) listTools(_ context.Context, c *Call) ([]byte, error) {
	definitions := s.tools.Load().definitions
	first := 0
	if cursor := rawjson.Member(c.Params, "cursor"); cursor != nil {
		at, err := strconv.Atoi(unquote(cursor))
		if err != nil || at < 0 || at > len(definitions) {
			return nil, &Error{Code: codeInvalidParams, Message: "unknown cursor"}
		}
		first = at
	}
	last := len(definitions)
	if size := s.config.PageSize; size > 0 && first+size < last {
		last = first + size
	}
	result := append([]byte(openResult(c.Era)), `"tools":[`...)
	for i, definition := range definitions[first:last] {
		if i > 0 {
			result = append(result, ',')
		}
		result = append(result, definition...)
	}
	result = append(result, ']')
	if last < len(definitions) {
		result = fmt.Appendf(result, `,"nextCursor":"%d"`, last)
	}
	if c.Era == Modern {
		result = s.appendFreshness(result)
	}
	return append(result, '}'), nil
}

// callTool hands the call to the tool's behaviour.
func (s *Server) callTool(ctx context.Context, c *Call) ([]byte, error) {
	behaviour, ok := s.tools.Load().byName[c.Name]
	if !ok {
		return nil, &Error{Code: codeInvalidParams, Message: fmt.Sprintf("unknown tool %q", c.Name)}
	}
	return behaviour(ctx, c)
}

// info returns serverInfo.
func (s *Server) info() []byte {
	return fmt.Appendf(nil, `{"name":%s,"version":"1.0.0"}`, quote(s.config.Name))
}

// supported returns the revisions of the server's eras as a JSON array.
func (s *Server) supported() []byte {
	var revisions []string
	if s.config.Eras&Modern != 0 {
		revisions = append(revisions, modernRevision)
	}
	if s.config.Eras&Legacy != 0 {
		revisions = append(revisions, legacyRevisions()...)
	}
	list := []byte{'['}
	for i, revision := range revisions {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, quote(revision)...)
	}
	return append(list, ']')
}

func (s *Server) appendInstructions(result []byte) []byte {
	if s.config.Instructions == "" {
		return result
	}
	return fmt.Appendf(result, `,"instructions":%s`, quote(s.config.Instructions))
}

// appendFreshness appends the caching hints that lists carry (SEP-2549).
func (s *Server) appendFreshness(result []byte) []byte {
	return fmt.Appendf(result, `,"ttlMs":%d,"cacheScope":"private"`, s.config.TTL.Milliseconds())
}
