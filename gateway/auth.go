package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/headgate/headgate/policy/auth"
	"github.com/headgate/headgate/router/edge"
)

// buildGate makes what asks clients who they are, if they are asked.
func (g *Gateway) buildGate() (err error) {
	if g.proxies, err = auth.NewProxies(g.cfg.TrustedProxies); err != nil {
		return fmt.Errorf("trusted_proxies: %w", err)
	}
	if g.cfg.Auth == nil {
		return nil
	}
	g.gate, err = auth.New(g.cfg.Auth, auth.Deps{Log: g.log, KeyFile: KeyFile(g.cfg.DataDir), Endpoints: g.router.Serves})
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	g.onStop("authentication", func(context.Context) error { g.gate.Close(); return nil })
	return nil
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
	if g.gate == nil {
		return front
	}
	metadata := g.gate.Metadata()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, auth.MetadataPath); ok && (rest == "" || rest[0] == '/') {
			metadata.ServeHTTP(w, r)
			return
		}
		front.ServeHTTP(w, r)
	})
}

// certificates is the listener's TLS configuration. Clients must present a certificate
// where nothing else says who they are, and may where it is one way to say it.
func (g *Gateway) certificates() (*tls.Config, error) {
	asked := tls.NoClientCert
	switch {
	case g.cfg.TLS.ClientCA == "":
	case g.gate == nil:
		asked = tls.RequireAndVerifyClientCert
	default:
		asked = tls.VerifyClientCertIfGiven
	}
	return edge.Certificates(edge.CertificateFiles{
		Cert: g.cfg.TLS.Cert, Key: g.cfg.TLS.Key, ClientCA: g.cfg.TLS.ClientCA, Asked: asked,
	}, g.log)
}
