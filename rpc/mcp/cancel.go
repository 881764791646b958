package mcp

import "github.com/headgate/headgate/rpc"

// CancelledID returns the id of the request that a notifications/cancelled names, and
// false if it names none.
func CancelledID(m *rpc.Message) (rpc.ID, bool) {
	text, ok := m.Get("requestId")
	if !ok {
		return rpc.ID{}, false
	}
	id, err := rpc.ParseID(text)
	return id, err == nil
}

// NewCancelled returns the notification that cancels a request. The reason is for
// people, such as "timed out".
func NewCancelled(id rpc.ID, reason string) *rpc.Message {
	params := append([]byte(`{"requestId":`), id.Raw()...)
	params = rpc.AppendString(append(params, `,"reason":`...), reason)
	return rpc.NewNotification(Cancelled, append(params, '}'))
}
