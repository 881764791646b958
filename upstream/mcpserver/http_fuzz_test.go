package mcpserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/upstream"
)

// saying is an upstream.Doer that gives one answer to everything but the handshake.
type saying struct {
	status int
	kind   string
	body   []byte
}

func (d *saying) Do(_ context.Context, r *upstream.Request) (*upstream.Response, error) {
	status, kind, body := d.status, d.kind, d.body
	switch {
	case bytes.Contains(r.Body, []byte(`"initialize"`)):
		status, kind, body = 200, typeJSON, []byte(initialized("1"))
	case r.Method == http.MethodGet:
		status = http.StatusMethodNotAllowed
	case bytes.Contains(r.Body, []byte(`"notifications/`)):
		status = http.StatusAccepted
	}
	header := http.Header{"Content-Type": {kind}, "Mcp-Session-Id": {"s"}}
	return upstream.NewResponse(status, header, int64(len(body)), io.NopCloser(bytes.NewReader(body))), nil
}

// FuzzAnswer lets a server answer anything. Whatever it is, the client gets exactly one
// response with its own id, or exactly one error.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		result("2", "{}"), result("3", "{}"), `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"session"}}`, "",
		"data: " + result("2", "{}") + "\n\n" + "data: " + result("2", "{}") + "\n\n",
		"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n", ": x\n\nretry: 1\n\n",
		"data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\ndata: " + result("2", "{}"),
	} {
		for _, status := range []int{200, 202, 400, 404, 500} {
			f.Add(status, typeJSON, []byte(seed))
			f.Add(status, typeEvents, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		if status < 200 || status > 599 {
			return
		}
		s, err := New(config.Upstream{Name: "x", URL: "http://127.0.0.1:1/", Era: "legacy", Timeout: time.Minute}, Deps{Log: discardLog})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close(t.Context()) }()
		s.dial.(*httpDialer).client = &saying{status, kind, body}
		a, err := run(t.Context(), s, newCall(t, legacyClient(), toolCall(`"mine"`, "x", `{}`)))
		switch {
		case err == nil && (a.response == nil || a.response.ID.Raw() != `"mine"`):
			t.Errorf("%v", a)
		case err != nil:
			if _, ok := errors.AsType[*rpc.Error](err); !ok || a.response != nil {
				t.Errorf("%v %v", a, err)
			}
		}
	})
}
