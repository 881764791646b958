package auth

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// MetadataPath is where clients look for the metadata of protected resources: behind it
// comes the path of the resource (RFC 9728 §3.1).
const MetadataPath = "/.well-known/oauth-protected-resource"

// resources are the endpoints as protected resources: each is one (MCP 2026-07-28,
// Authorization).
type resources struct {
	base     string // scheme, host and what stands before endpoints' paths; empty if it is as each client writes it
	prefix   string // the path of base
	issuers  []string
	scopes   []string
	endpoint func(path string) bool
}

func newResources(cfg *config.Auth, endpoint func(string) bool) *resources {
	r := &resources{base: cfg.Resource, scopes: cfg.Scopes, endpoint: endpoint}
	if _, rest, ok := strings.Cut(cfg.Resource, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			r.prefix = rest[i:]
		}
	}
	for _, j := range cfg.JWT {
		r.addIssuer(j.Issuer)
	}
	for _, i := range cfg.Introspection {
		r.addIssuer(i.Issuer)
	}
	return r
}

// addIssuer adds where clients can get a token. Issuers that are no addresses give
// them in other ways.
func (r *resources) addIssuer(issuer string) {
	if strings.HasPrefix(issuer, "http") && strings.Contains(issuer, "://") && !slices.Contains(r.issuers, issuer) {
		r.issuers = append(r.issuers, issuer)
	}
}

// known reports whether there is anything to tell clients.
func (r *resources) known() bool { return len(r.issuers) > 0 }

// root returns scheme and host of the gateway, as the configuration or else the client
// itself has them; empty if neither has.
func (r *resources) root(host string, tls bool) string {
	if r.base != "" {
		return strings.TrimSuffix(r.base, r.prefix)
	}
	if !isHost(host) {
		return ""
	}
	if tls {
		return "https://" + host
	}
	return "http://" + host
}

// isHost reports whether a Host header is one that may stand in an address.
func isHost(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !alnum && !strings.ContainsRune(".-:[]_", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) < 256
}

// metadataURL returns where the metadata of a call's endpoint is, empty if it has
// none.
func (r *resources) metadataURL(c *rpc.Call) string {
	root := r.root(c.Host, c.TLS != nil)
	if !r.known() || root == "" {
		return ""
	}
	return root + MetadataPath + r.prefix + c.Endpoint
}

// uri returns the address of an endpoint by the configuration, empty if that is not
// said there.
func (r *resources) uri(endpoint string) string {
	if r.base == "" {
		return ""
	}
	return r.base + endpoint
}

// metadata is what RFC 9728 §2 defines.
type metadata struct {
	Resource string   `json:"resource"`
	Issuers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported,omitempty"`
	Methods  []string `json:"bearer_methods_supported"`
	Name     string   `json:"resource_name"`
}

// ServeHTTP answers with the metadata of the resource that the path names; the path
// alone stands for the endpoint that merges all upstreams. Anybody may read it, from
// any page.
func (r *resources) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	endpoint := strings.TrimPrefix(strings.TrimPrefix(req.URL.Path, MetadataPath), r.prefix)
	if endpoint == "" {
		endpoint = config.DefaultEndpoint
	}
	root := r.root(req.Host, req.TLS != nil)
	switch {
	case !r.known() || root == "" || !r.endpoint(endpoint) || req.URL.RawPath != "":
		http.Error(w, "no such resource", http.StatusNotFound)
		return
	case req.Method == http.MethodOptions:
		h.Set("Access-Control-Allow-Methods", "GET")
		h.Set("Access-Control-Allow-Headers", "mcp-protocol-version")
		w.WriteHeader(http.StatusNoContent)
		return
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD, OPTIONS")
		http.Error(w, "read it with GET", http.StatusMethodNotAllowed)
		return
	}
	text, err := json.Marshal(metadata{root + r.prefix + endpoint, r.issuers, r.scopes, []string{"header"}, "Headgate " + endpoint})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store") // without a configured address it differs by the name that was used
	_, _ = w.Write(text)               // nobody to tell
}
