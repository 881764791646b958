package policy

import (
	"context"
	"net/http"
	"testing"

	"github.com/headgate/headgate/rpc"
)

func TestT8_Corner5_32_OriginRefusesWhatIsNotAllowed(t *testing.T) {
	t.Parallel()
	loopback := Origins{Loopback: true, Allowed: []string{"https://app.example.com"}}
	public := Origins{Allowed: []string{"https://app.example.com"}}
	tests := []struct {
		name    string
		rules   Origins
		host    string
		origins []string
		allowed bool
	}{
		{"a client that is no browser", loopback, "127.0.0.1:8970", nil, true},
		{"localhost by name", loopback, "localhost:8970", nil, true},
		{"localhost in capitals", loopback, "LOCALHOST:8970", nil, true},
		{"IPv6 loopback", loopback, "[::1]:8970", nil, true},
		{"IPv6 loopback without a port", loopback, "[::1]", nil, true},
		{"a name made to resolve here", loopback, "evil.example.com:8970", nil, false},
		{"a name that begins like loopback", loopback, "127.0.0.1.evil.example.com", nil, false},
		{"no host", loopback, "", nil, false},
		{"a page on loopback", loopback, "127.0.0.1:8970", []string{"http://localhost:3000"}, true},
		{"a page on loopback by address", loopback, "127.0.0.1:8970", []string{"http://127.0.0.1:3000"}, true},
		{"an allowed page", loopback, "127.0.0.1:8970", []string{"https://app.example.com"}, true},
		{"another page", loopback, "127.0.0.1:8970", []string{"https://evil.example.com"}, false},
		{"a sandboxed page", loopback, "127.0.0.1:8970", []string{"null"}, false},
		{"an allowed page with a suffix", loopback, "127.0.0.1:8970", []string{"https://app.example.com.evil.com"}, false},
		{"an allowed page on another port", loopback, "127.0.0.1:8970", []string{"https://app.example.com:8443"}, false},
		{"an allowed page in capitals", loopback, "127.0.0.1:8970", []string{"https://APP.example.com"}, false},
		{"loopback in capitals", loopback, "127.0.0.1:8970", []string{"http://LOCALHOST"}, false},
		{"an origin with a path", loopback, "127.0.0.1:8970", []string{"http://localhost/x"}, false},
		{"an origin with a name in front", loopback, "127.0.0.1:8970", []string{"http://evil@localhost"}, false},
		{"a scheme that is no page's", loopback, "127.0.0.1:8970", []string{"file://localhost"}, false},
		{"two origins", loopback, "127.0.0.1:8970", []string{"http://localhost", "http://localhost"}, false},
		{"an empty origin", loopback, "127.0.0.1:8970", []string{""}, false},
		{"any host where the gateway is public", public, "gateway.example.com", nil, true},
		{"a loopback page where the gateway is public", public, "gateway.example.com", []string{"http://localhost"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if tt.origins != nil {
				h["Origin"] = tt.origins
			}
			served := false
			next := rpc.HandlerFunc(func(context.Context, *rpc.Call) (*rpc.Reply, error) {
				served = true
				return rpc.Respond(nil), nil
			})
			_, err := Origin(tt.rules)(next).Handle(t.Context(), &rpc.Call{Host: tt.host, Header: h})
			if served != tt.allowed {
				t.Errorf("served = %v, want %v (%v)", served, tt.allowed, err)
			}
			if !tt.allowed && rpc.AsError(err).Code != rpc.OriginRefused {
				t.Errorf("error = %v, want origin_refused", err)
			}
		})
	}
}
