package edge_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headgate/headgate/router/edge"
)

// issue returns a self-signed certificate for a name and its key, both as PEM.
func issue(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateFollowsItsFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
		oneCert, oneKey := issue(t, "one.example.com")
		twoCert, twoKey := issue(t, "second.example.com")
		write(t, certFile, oneCert)
		write(t, keyFile, oneKey)
		var log bytes.Buffer
		cfg, err := edge.Certificates(edge.CertificateFiles{Cert: certFile, Key: keyFile}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if cfg.MinVersion != tls.VersionTLS12 || strings.Join(cfg.NextProtos, " ") != "h2 http/1.1" {
			t.Errorf("config %x %v", cfg.MinVersion, cfg.NextProtos)
		}
		shown := func() string {
			c, err := cfg.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			return c.Leaf.Subject.CommonName
		}
		expect := func(when, want string) {
			t.Helper()
			if got := shown(); got != want {
				t.Errorf("%s: %s, want %s", when, got, want)
			}
		}
		expect("at first", "one.example.com")

		write(t, certFile, twoCert) // the key follows a moment later
		expect("within a second", "one.example.com")
		time.Sleep(2 * time.Second)
		expect("with half of the new pair", "one.example.com")
		time.Sleep(2 * time.Second)
		expect("with half of the new pair, later", "one.example.com")
		if n := strings.Count(log.String(), "refused"); n != 1 {
			t.Errorf("the broken pair was reported %d times:\n%s", n, log.String())
		}
		write(t, keyFile, twoKey)
		time.Sleep(2 * time.Second)
		expect("with the new pair", "second.example.com")

		write(t, certFile, []byte("nonsense"))
		time.Sleep(2 * time.Second)
		expect("with nonsense", "second.example.com")
		if err := os.Remove(keyFile); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		expect("without a key", "second.example.com")
		write(t, certFile, oneCert)
		write(t, keyFile, oneKey)
		time.Sleep(2 * time.Second)
		expect("with the old pair again", "one.example.com")
	})
}

func TestCertificatesThatDoNotLoadAreAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	log := slog.New(slog.DiscardHandler)
	if _, err := edge.Certificates(edge.CertificateFiles{Cert: certFile, Key: keyFile}, log); err == nil {
		t.Error("missing files are no error")
	}
	cert, _ := issue(t, "one.example.com")
	_, key := issue(t, "two.example.com")
	write(t, certFile, cert)
	write(t, keyFile, key)
	if _, err := edge.Certificates(edge.CertificateFiles{Cert: certFile, Key: keyFile}, log); err == nil || !strings.Contains(err.Error(), certFile) {
		t.Errorf("files that do not belong together: %v", err)
	}
}
