package mcpserver

import (
	"errors"
	"io"
	"net/http"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/frame"
	"github.com/headgate/headgate/rpc/mcp"
	"github.com/headgate/headgate/upstream"
)

// open looks at the header of the answer.
func (k *httpCall) open() error {
	status, kind := k.resp.Status, mediaType(k.resp)
	switch {
	case status < 200 || status >= 300 || authorization(status):
		return k.openFailure()
	case k.x.message.IsNotification():
		_ = k.resp.Close()
		k.finish(io.EOF)
		return nil
	case kind == typeEvents:
		k.events, _ = k.d.readers.Get().(*frame.SSEReader)
		k.events.Reset(k.resp)
		return nil
	case status == http.StatusAccepted || status == http.StatusNoContent:
		_ = k.resp.Close()
		k.resp = nil
		if !k.carrier.elsewhere() {
			return k.d.s.fault.unanswered(status)
		}
		return nil
	case kind == typeJSON || kind == "":
		return k.openJSON()
	}
	return k.d.s.fault.failed(nil, "answered with content of type %s", rpc.Excerpt(kind))
}

// openJSON reads an answer that is one message, or one batch.
func (k *httpCall) openJSON() error {
	body, err := k.readBody()
	if err != nil {
		return err
	}
	m, err := rpc.Parse(body, upstreamLimits)
	if k.unpack(body, err, true) {
		return nil
	}
	if err != nil {
		return k.d.s.fault.failed(err, "gave an answer that is no message")
	}
	if m.Err != nil && k.carrier.lost(k, body, m) {
		return k.stale(k.d.s.fault.failed(nil, "refused the request: %s", rpc.Excerpt(m.Err.Message)))
	}
	if k.misread(m) {
		return k.misreading(m)
	}
	if k.x.take(m) != relay || !k.x.finished {
		return k.d.s.fault.failed(nil, "answered another request than it was asked")
	}
	k.ready = m
	return nil
}

// openFailure reads an answer with a status that is no success. The JSON-RPC error in it, if there
// is one, is the response whatever the status (MCP 2026-07-28, Streamable HTTP).
func (k *httpCall) openFailure() error {
	body, err := k.readBody()
	if err != nil && !errors.Is(err, upstream.ErrTooLarge) {
		return err
	}
	refused := k.refused(body)
	m, err := rpc.Parse(body, upstreamLimits)
	if err != nil || m.Err == nil {
		m = nil
	}
	if k.carrier.lost(k, body, m) {
		return k.stale(refused)
	}
	if m != nil && k.misread(m) {
		return k.misreading(m)
	}
	if m == nil || authorization(k.resp.Status) || k.x.message.IsNotification() || k.x.take(m) != relay {
		return refused
	}
	k.ready = m
	return nil
}

// misread reports whether a modern server refused the headers that the gateway put
// beside a client's call, which are not the client's to mend.
func (k *httpCall) misread(m *rpc.Message) bool {
	return m.Err != nil && m.Err.Code == mcp.CodeHeaderMismatch && k.x.hop.era == rpc.Modern && !k.x.own
}

func (k *httpCall) misreading(m *rpc.Message) error {
	return k.d.s.fault.failed(mcp.ErrMirrors, "refused the headers of the request: %s", rpc.Excerpt(m.Err.Message))
}

// refused makes the error for the answer. By a bare status some legacy servers answer a method that they do not have:
// one that the protocol has is there, whatever was refused, but another one is not.
func (k *httpCall) refused(body []byte) *rpc.Error {
	e := k.d.s.fault.refused(k.resp, body)
	switch k.resp.Status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		if name := k.x.message.Method; !mcp.Known(name) {
			return k.d.s.fault.make(rpc.MethodNotFound, e, "does not serve method %s", rpc.Excerpt(name))
		}
	}
	return e
}

// stale makes the error for a call that can be made again on another link.
func (k *httpCall) stale(cause *rpc.Error) error {
	return &stale{cause: cause, era: k.x.hop.era == rpc.Modern}
}

func (k *httpCall) readBody() ([]byte, error) {
	k.buffer = k.d.pool.get()
	var err error
	k.buffer.bytes, err = k.resp.ReadAll(k.buffer.bytes, k.d.maxResult)
	if err != nil {
		return k.buffer.bytes, k.broken(err, "broke off its answer")
	}
	return k.buffer.bytes, nil
}
