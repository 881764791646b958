package gateway

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/router/edge"
)

// gateOf makes what asks clients who they are, if they are asked, or takes that of another generation if that does it in
// the same way.
func (g *Gateway) gateOf(cfg *config.Config, old *generation) (*auth.Gate, error) {
	if cfg.Auth == nil {
		return nil, nil
	}
	deps := auth.Deps{Log: g.logOf("auth"), KeyFile: KeyFile(cfg.DataDir), Endpoints: g.serves}
	if old != nil && old.gate != nil {
		if deps.Former = old.gate; slices.Equal(config.SettingsOf(old.cfg.Auth), config.SettingsOf(cfg.Auth)) {
			return old.gate, nil
		}
	}
	gate, err := auth.New(cfg.Auth, deps)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return gate, nil
}

// KeyFile returns the path of the file of a data directory that holds the API keys
// which were made by command; empty without a data directory.
func KeyFile(dataDir string) string {
	if dataDir == "" {
		return ""
	}
	return filepath.Join(dataDir, auth.KeyFileName)
}

// entrance is what the client listener serves: the front, and for everybody where to
// get a token for it.
func (g *Gateway) entrance(front http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, auth.MetadataPath); ok && (rest == "" || rest[0] == '/') {
			if gate := g.generation().gate; gate != nil {
				gate.Metadata().ServeHTTP(w, r)
				return
			}
		}
		front.ServeHTTP(w, r)
	})
}

// certificates is the listener's TLS configuration. Clients must present a certificate
// where nothing else says who they are, and may where it is one way to say it.
func (g *Gateway) certificates(n *generation) (*tls.Config, error) {
	asked := tls.NoClientCert
	switch {
	case n.cfg.TLS.ClientCA == "":
	case n.gate == nil:
		asked = tls.RequireAndVerifyClientCert
	default:
		asked = tls.VerifyClientCertIfGiven
	}
	return edge.Certificates(edge.CertificateFiles{
		Cert: n.cfg.TLS.Cert, Key: n.cfg.TLS.Key, ClientCA: n.cfg.TLS.ClientCA, Asked: asked,
	}, g.logOf("auth"))
}
