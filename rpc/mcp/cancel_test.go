package mcp_test

import (
	"testing"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func TestCancelledNamesARequest(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]string{
		`{"requestId":7}`:                     "7",
		`{"requestId":"7","reason":"no use"}`: `"7"`,
		`{"requestId":90071992547409931}`:     "90071992547409931",
		`{"requestId":null}`:                  "",
		`{"requestId":{}}`:                    "",
		`{"requestid":7}`:                     "",
		`{}`:                                  "",
	} {
		id, ok := mcp.CancelledID(rpc.NewNotification(mcp.Cancelled, []byte(params)))
		if ok != (want != "") || ok && id.Raw() != want {
			t.Errorf("%s: %q %v, want %q", params, id.Raw(), ok, want)
		}
	}
}

func TestNewCancelledKeepsTheID(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`"a\"b"`, "12345678901234567890"} {
		id, err := rpc.ParseID([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		m := mcp.NewCancelled(id, "the \"reason\"")
		if again, ok := mcp.CancelledID(m); !ok || again.Raw() != text {
			t.Errorf("%s: %s", text, m.AppendTo(nil))
		}
		if reason, _ := m.Text("reason"); reason != `the "reason"` {
			t.Errorf("reason %q", reason)
		}
	}
}
