package fake

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// listen serves subscriptions/listen (MCP 2026-07-28): an acknowledgement, then changes of the tool list and of tasks if they
// were asked for, tagged with the request's id, until the client goes away or the server closes, then a result.
func (s *Server) listen(ctx context.Context, c *Call) ([]byte, error) {
	tag := slices.Concat([]byte(`"_meta":{"`+metaSubscription+`":`), c.ID, []byte(`}`))
	filter := rawjson.Member(c.Params, "notifications")
	tools := string(rawjson.Member(filter, "toolsListChanged")) == "true"
	var tasks []string
	if ids := rawjson.Member(filter, "taskIds"); ids != nil && s.config.Tasks != nil {
		if err := declared(c); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(ids, &tasks); err != nil {
			return nil, &Error{Code: codeInvalidParams, Message: "taskIds: " + err.Error()}
		}
		tasks = slices.DeleteFunc(tasks, func(id string) bool { return s.config.Tasks.Status(id) == "" })
	}
	honoured := honouredFilter(tools, tasks)
	key, stream := s.streams.openListen(func(method string, params []byte) bool {
		return tools && method == "notifications/tools/list_changed" ||
			method == tasksChanged && slices.Contains(tasks, unquote(rawjson.Member(params, "taskId")))
	})
	defer s.streams.leave(key, stream)
	ack := slices.Concat([]byte(`{`), tag, []byte(`,"notifications":`), honoured, []byte(`}`))
	if err := c.Notify("notifications/subscriptions/acknowledged", ack); err != nil {
		return nil, err
	}
	err := s.streams.pump(ctx, stream, func(n broadcast) error {
		return c.Notify(n.method, withMember(n.params, tag))
	})
	if err != nil {
		return nil, err
	}
	return slices.Concat([]byte(openResult(Modern)), tag, []byte(`}`)), nil
}

// honouredFilter is the filter that is acknowledged.
func honouredFilter(tools bool, tasks []string) []byte {
	out := []byte(`{`)
	if tools {
		out = append(out, `"toolsListChanged":true`...)
	}
	for i, id := range tasks {
		switch {
		case i > 0:
			out = append(out, ',')
		case tools:
			out = append(out, `,"taskIds":[`...)
		default:
			out = append(out, `"taskIds":[`...)
		}
		out = append(out, quote(id)...)
	}
	if len(tasks) > 0 {
		out = append(out, ']')
	}
	return append(out, '}')
}

// withMember returns the object params, which may be absent, with one more member in front.
func withMember(params, member []byte) []byte {
	rest := strings.TrimLeft(strings.TrimPrefix(strings.TrimSpace(string(params)), "{"), " \t\r\n")
	if rest == "" {
		rest = "}"
	}
	if rest == "}" {
		return slices.Concat([]byte(`{`), member, []byte(`}`))
	}
	return slices.Concat([]byte(`{`), member, []byte(`,`+rest))
}
