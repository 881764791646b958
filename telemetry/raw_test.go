package telemetry

import (
	"strings"
	"testing"

	"github.com/headgate/headgate/rpc"
)

func TestRawMessages(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]string{
		`{"name":"x","n":1.50,"big":12345678901234567890}`:                    `{"name":"x","n":1.50,"big":12345678901234567890}`,
		`{"arguments":{"password":"correct horse, battery","b":[1,{"c":2}]}}`: `{"arguments":{"password":"[redacted]","b":[1,{"c":2}]}}`,
		`{"token":{"a":"x"},"apiKey":["x","y"],"z":"token"}`:                  `{"token":"[redacted]","apiKey":"[redacted]","z":"token"}`,
		`{"l":[{"secret":1},"secret","x",[[{"cookie":null}]]]}`:               `{"l":[{"secret":"[redacted]"},"secret","x",[[{"cookie":"[redacted]"}]]]}`,
		`{"se\u0063ret":"x","a":"b"}`:                                         `{"se\u0063ret":"[redacted]","a":"b"}`,
		`{"text":"send Bearer q7Rz2LwK9sTfV4xB8nYc"}`:                         `{"text":"send Bearer [redacted]"}`,
		`{}`: `{}`, `{"a":[],"b":{}}`: `{"a":[],"b":{}}`,
	} {
		got := Raw(rpc.NewRequest(rpc.NumberID(1), "m", []byte(params))).Value.String()
		if full := `{"jsonrpc":"2.0","id":1,"method":"m","params":` + want + `}`; got != full {
			t.Errorf("%s\n is shown as %s\n      want %s", params, got, full)
		}
	}
	long := Raw(rpc.NewRequest(rpc.NumberID(1), "m", []byte(`{"x":"`+strings.Repeat("a ", 2000)+`"}`))).Value.String()
	if len(long) > rawLimit+3 || !strings.HasSuffix(long, "…") {
		t.Errorf("%d bytes of a long message", len(long))
	}
	if huge := Raw(rpc.NewRequest(rpc.NumberID(1), "m", []byte(`{"x":"`+strings.Repeat("a ", mostRaw)+`"}`))).Value.String(); !strings.HasSuffix(huge, " bytes]") {
		t.Errorf("a huge message is shown as %.100s", huge)
	}
}

func FuzzWithoutSecrets(f *testing.F) {
	f.Add(`{"a":{"token":[1,{"b":2}],"c":"d"}}`)
	f.Add(`[[],{},{"key":{}},"x",null]`)
	f.Fuzz(func(t *testing.T, text string) {
		out, err := withoutSecrets([]byte(`{"password":["s3cr3t-canary"],"x":` + text + `}`))
		if err != nil {
			return
		}
		if strings.Contains(strings.Replace(out, text, "", 1), "s3cr3t-canary") {
			t.Errorf("%q became %q", text, out)
		}
		if again, err := withoutSecrets([]byte(out)); err != nil || again != out {
			t.Errorf("%q became %q, and that %q, %v", text, out, again, err)
		}
	})
}
