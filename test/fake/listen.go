package fake

import (
	"context"
	"slices"
	"strings"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// listen serves subscriptions/listen (MCP 2026-07-28): an acknowledgement, then changes of the tool list if they were asked
// for, tagged with the request's id, until the client goes away or the server closes, then a result.
func (s *Server) listen(ctx context.Context, c *Call) ([]byte, error) {
	tag := slices.Concat([]byte(`"_meta":{"`+metaSubscription+`":`), c.ID, []byte(`}`))
	honoured := `{}`
	tools := string(rawjson.Member(rawjson.Member(c.Params, "notifications"), "toolsListChanged")) == "true"
	if tools {
		honoured = `{"toolsListChanged":true}`
	}
	key, stream := s.streams.openListen(func(method string) bool {
		return tools && method == "notifications/tools/list_changed"
	})
	defer s.streams.leave(key, stream)
	ack := slices.Concat([]byte(`{`), tag, []byte(`,"notifications":`+honoured+`}`))
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
