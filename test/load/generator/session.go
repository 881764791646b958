package generator

import (
	"errors"
	"fmt"

	"github.com/headgate/headgate/test/fake/rawjson"
)

// initializeBody opens a session of a client that offers the server nothing, so that the server can ask it nothing.
const initializeBody = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + legacyRevision +
	`","capabilities":{},"clientInfo":{"name":"load","version":"1.0.0"}}}`

const initializedBody = `{"jsonrpc":"2.0","method":"notifications/initialized"}`

// openSession opens a legacy session (MCP 2025-11-25, Lifecycle) and returns its id, which is empty when the server keeps
// no sessions.
func openSession(c *conn, config *Config, e endpoint) (string, error) {
	r, err := c.roundTrip(post(config, e, "", initializeBody))
	if err != nil {
		return "", fmt.Errorf("initialize: %w", err)
	}
	body := r.body
	if r.events {
		body, _ = nextEvent(r.body)
	}
	if r.status != 200 || rawjson.Member(rawjson.Member(body, "result"), "protocolVersion") == nil {
		return "", fmt.Errorf("initialize: %d %.200q", r.status, r.body)
	}
	session := r.session
	r, err = c.roundTrip(post(config, e, session, initializedBody, revisionField(Legacy)))
	if err != nil {
		return "", fmt.Errorf("notifications/initialized: %w", err)
	}
	if r.status != 202 {
		return "", fmt.Errorf("notifications/initialized: %d %.200q", r.status, r.body)
	}
	return session, nil
}

var errSession = errors.New("the session was not ended")

// endSession ends a legacy session.
func endSession(c *conn, config *Config, e endpoint, session string) error {
	if session == "" {
		return nil
	}
	request := append(requestHead("DELETE", config, e, session, revisionField(Legacy)), "\r\n"...)
	r, err := c.roundTrip(request)
	if err != nil || r.closing {
		return errors.Join(errSession, err)
	}
	return nil
}

// post returns a whole POST.
func post(config *Config, e endpoint, session, body string, fields ...string) []byte {
	return fmt.Appendf(postHead(config, e, session, fields...), "%d\r\n\r\n%s", len(body), body)
}
