package fault

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// writeCertificate puts a certificate for 127.0.0.1 with a serial number into files, one after the other, as tools do that
// renew them.
func writeCertificate(t *testing.T, cert, key string, serial int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestF18_CertificatesRotate replaces the certificate under load. The next connections get it, and nothing fails.
func TestF18_CertificatesRotate(t *testing.T) {
	rounds := times(2, 60)
	row := &Row{
		ID: "F18", What: "Rotation of the TLS certificate under load: new connections get the new one, 0 failed",
		Count: fmt.Sprintf("%d rotations, 8 clients of both eras, half of them with a connection for each call", rounds),
	}
	enter(t, row)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writeCertificate(t, cert, key, 1)
	fine := serveHostile(t, &misdeed{}, true)
	g := startGateway(t, fmt.Sprintf("tls: {cert: %q, key: %q}\nupstreams:\n", cert, key)+upstreamEntry("fine", "modern", fine.url(), nil))
	clients := gather(t, g.URL(), 8)
	var slowest time.Duration
	for serial := int64(2); serial < int64(2+rounds); serial++ {
		clients.more(t, 16)
		writeCertificate(t, cert, key, serial)
		began := time.Now()
		eventually(t, "the new certificate is shown", func() bool {
			conn, err := tls.Dial("tcp", g.Addr(), &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is looked at below
			if err != nil {
				t.Error(err)
				return true
			}
			defer conn.Close() //nolint:errcheck // nothing was said
			return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == serial
		})
		slowest = max(slowest, time.Since(began))
	}
	clients.more(t, 16)
	for i, f := range clients.leave() {
		if i < 10 {
			t.Error(f)
		}
	}
	row.Figures = fmt.Sprintf("%s; in use after %.1f s at most", clients.figures(), slowest.Seconds())
}
