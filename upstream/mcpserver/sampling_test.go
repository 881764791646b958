package mcpserver

import (
	"encoding/json"
	"testing"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// Where the gateway samples for clients that cannot, a legacy server is told that they can, and each client has a link of its own.
func TestSamplingIsDeclaredForClientsThatCannot(t *testing.T) {
	t.Parallel()
	client := func(era rpc.Era, capabilities string) rpc.Client {
		c := rpc.Client{Era: era, Revision: "2025-11-25", Session: "a", Capabilities: json.RawMessage(capabilities)}
		if era == rpc.Modern {
			c.Revision, c.Session = "2026-07-28", ""
		}
		if capabilities == "" {
			c.Capabilities = nil
		}
		return c
	}
	owner := ownerOf(&rpc.Principal{})
	for name, test := range map[string]struct {
		off    bool
		client rpc.Client
		era    rpc.Era
		want   linkKey
	}{
		"switched off":         {true, client(rpc.Legacy, `{}`), rpc.Legacy, linkKey{}},
		"legacy client":        {false, client(rpc.Legacy, `{}`), rpc.Legacy, linkKey{session: "a", features: `{"sampling":{}}`}},
		"modern client":        {false, client(rpc.Modern, `{}`), rpc.Legacy, linkKey{owner: owner, features: `{"sampling":{}}`}},
		"can be asked more":    {false, client(rpc.Legacy, `{"roots":{}}`), rpc.Legacy, linkKey{session: "a", features: `{"roots":{},"sampling":{}}`}},
		"samples itself":       {false, client(rpc.Legacy, `{"sampling":{"tools":{}}}`), rpc.Legacy, linkKey{session: "a", features: `{"sampling":{"tools":{}}}`}},
		"modern server":        {false, client(rpc.Modern, `{}`), rpc.Modern, linkKey{era: rpc.Modern}},
		"the gateway's own":    {false, client(rpc.Modern, ""), rpc.Legacy, linkKey{}},
		"no object":            {false, client(rpc.Legacy, `[]`), rpc.Legacy, linkKey{}},
		"no session to ask in": {false, rpc.Client{Capabilities: json.RawMessage(`{}`)}, rpc.Legacy, linkKey{}},
	} {
		s := &Server{cfg: config.Upstream{Sampling: &config.Sampling{Model: "m"}}}
		if test.off {
			s.cfg.Sampling = nil
		}
		c := &rpc.Call{Client: test.client}
		if got := keyOf(s.lent(c), test.era); got != test.want {
			t.Errorf("%s: %+v", name, got)
		}
		if string(c.Client.Capabilities) != string(test.client.Capabilities) {
			t.Errorf("%s: the client's own call has changed", name)
		}
	}
}
