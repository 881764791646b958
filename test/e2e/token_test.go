package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"github.com/headgate/headgate/test/fake"
)

const hmacSecret = "a secret of at least thirty-two characters"

// withTokens is the auth section for tokens that are signed with a secret.
const withTokens = "auth:\n  jwt: [{issuer: shop, audience: us, secret: \"" + hmacSecret + "\"}]\nupstreams:\n"

// tokenFor signs a token that is accepted for a while. What clocks may differ is
// taken off.
func tokenFor(t testing.TB, user, scope string, left time.Duration) string {
	t.Helper()
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "shop", "aud": "us", "sub": user, "scope": scope, "exp": time.Now().Add(left - 30*time.Second).Unix(),
	}).SignedString([]byte(hmacSecret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What lasts ends when its token does, and the client that comes back is told why.
func TestStreamsEndWithTheirToken(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{Name: "one", Eras: fake.Legacy | fake.Modern})
	g := startGateway(t, withTokens+httpUpstream("one", server))
	mcpURL := endpoint(g, "/mcp")
	listen := strings.NewReplacer("tools/list", "subscriptions/listen", `"params":{`, `"params":{"notifications":{"toolsListChanged":true},`)
	for name, open := range map[string]func(token string) io.ReadCloser{
		"stream of a session": func(token string) io.ReadCloser {
			return attempt(t, http.MethodGet, mcpURL, as(token, map[string]string{"Accept": "text/event-stream", "Mcp-Session-Id": openSession(t, mcpURL, token)})).Body
		},
		"HTTP+SSE": func(token string) io.ReadCloser {
			return attempt(t, http.MethodGet, endpoint(g, "/sse"), as(token, map[string]string{"Accept": "text/event-stream"})).Body
		},
		"subscriptions": func(token string) io.ReadCloser {
			body, _ := modernList()
			return (&raw{t: t, url: mcpURL, key: token}).open(t.Context(), listen.Replace(body), modernHeaders("subscriptions/listen", "")).Body
		},
		"WebSocket": func(token string) io.ReadCloser {
			conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(mcpURL, "http"), http.Header{"Authorization": {"Bearer " + token}})
			if err != nil {
				t.Fatal(err)
			}
			return conn.NetConn()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := tokenFor(t, "alice", "mcp:*", 3*time.Second)
			body := open(token)
			defer body.Close()
			ended := make(chan string, 1)
			go func() {
				text, _ := io.ReadAll(bufio.NewReader(body)) // how it ends is the transport's matter
				ended <- string(text)
			}()
			select {
			case text := <-ended:
				res, _ := (&raw{t: t, url: mcpURL}).post(listTools, as(token, nil))
				if res.StatusCode != http.StatusUnauthorized || !strings.Contains(res.Header.Get("WWW-Authenticate"), "it has expired") {
					t.Errorf("it ended and its token is good: %s: %s", res.Status, text)
				}
			case <-time.After(60 * time.Second):
				t.Error("it did not end")
			}
		})
	}
}

// Users of one issuer are kept apart, and equal names of two issuers.
func TestSessionsBelongToTheSubjectOfAToken(t *testing.T) {
	t.Parallel()
	_, server := fakeUpstream(t, fake.Config{Name: "one"})
	g := startGateway(t, strings.Replace(withTokens, "}]", "}, {issuer: other, audience: us, secret: \""+hmacSecret+"\"}]", 1)+httpUpstream("one", server))
	r := &raw{t: t, url: endpoint(g, "/mcp")}
	alice := tokenFor(t, "alice", "mcp:*", time.Hour)
	session := map[string]string{"Mcp-Session-Id": openSession(t, r.url, alice)}
	renewed := tokenFor(t, "alice", "mcp:tools/*", 2*time.Hour)
	if res, body := r.post(listTools, as(renewed, session)); res.StatusCode != http.StatusOK {
		t.Errorf("with a new token of the same user: %s: %s", res.Status, body)
	}
	other, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "other", "aud": "us", "sub": "alice", "scope": "mcp:*", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(hmacSecret))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{"another user": tokenFor(t, "bob", "mcp:*", time.Hour), "another issuer": other} {
		if res, body := r.post(listTools, as(token, session)); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s: %s", name, res.Status, body)
		}
	}
}

// authority issues certificates.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	pair := a.issue(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue signs a certificate; the first one by itself.
func (a *authority) issue(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// write stores a certificate and its key below a folder.
func (a *authority) write(folder, name string, pair tls.Certificate) {
	a.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		a.t.Fatal(err)
	}
	for ending, block := range map[string]*pem.Block{"crt": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "key": {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(filepath.Join(folder, name+"."+ending), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	ours, theirs := newAuthority(t), newAuthority(t)
	ours.write(folder, "tls", ours.issue(&x509.Certificate{DNSNames: []string{"localhost"}}))
	ours.write(folder, "ca", tls.Certificate{Certificate: [][]byte{ours.cert.Raw}, PrivateKey: ours.key})
	_, server := fakeUpstream(t, fake.Config{Name: "one", Eras: fake.Legacy | fake.Modern})
	section, key := keys("acme")
	for _, asked := range []bool{true, false} {
		yaml := fmt.Sprintf("tls: {cert: %[1]s/tls.crt, key: %[1]s/tls.key, client_ca: %[1]s/ca.crt}\nupstreams:\n", folder) + httpUpstream("one", server)
		if asked {
			yaml = section + "  certificates: [{name: \"spiffe://acme/*\", org: acme, scopes: [\"mcp:tools/list\"]}]\n" + yaml
		}
		g := startGateway(t, yaml)
		url := strings.Replace(g.URL(), "127.0.0.1", "localhost", 1)
		client := func(uri string, by *authority) *http.Client {
			roots := x509.NewCertPool()
			roots.AddCert(ours.cert)
			cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
			if by != nil {
				pair := by.issue(&x509.Certificate{URIs: mustURIs(t, uri), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			transport := &http.Transport{TLSClientConfig: cfg}
			t.Cleanup(transport.CloseIdleConnections)
			return &http.Client{Transport: transport}
		}
		ask := func(c *http.Client, token string) (int, error) {
			body, fields := modernList()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			for name, value := range fields {
				req.Header.Set(name, value)
			}
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			res, err := c.Do(req)
			if err != nil {
				return 0, err
			}
			defer res.Body.Close()
			return res.StatusCode, nil
		}
		for name, tt := range map[string]struct {
			client        *http.Client
			token         string
			asked, silent int // statuses with auth and without; 0 for no connection
		}{
			"ours":           {client("spiffe://acme/ci", ours), "", 200, 200},
			"another name":   {client("spiffe://other/ci", ours), "", 401, 200},
			"none":           {client("", nil), "", 401, 0},
			"none but a key": {client("", nil), key["acme"], 200, 0},
			"theirs":         {client("spiffe://acme/ci", theirs), "", 0, 0},
		} {
			want := tt.silent
			if asked {
				want = tt.asked
			}
			if got, err := ask(tt.client, tt.token); got != want {
				t.Errorf("%s, auth %v: %d, %v; want %d", name, asked, got, err, want)
			}
		}
	}
}

func mustURIs(t testing.TB, text string) []*url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return []*url.URL{u}
}
