package edge_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/headgate/headgate/router/edge"
)

// authority is one that issues certificates to clients.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	text []byte // PEM
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// client returns what a client with a certificate of the authority connects with.
func (a *authority) client(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pair := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{
		InsecureSkipVerify:   true, //nolint:gosec // who the server is is not in question here
		ClientSessionCache:   tls.NewLRUClientSessionCache(8),
		ServerName:           "gateway",
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return pair, nil },
	}
}

// shake makes a handshake and a byte each way, and returns the server's view of the
// client.
func shake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	l := loopback(t)
	defer l.Close()
	var d net.Dialer
	far, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s, c := tls.Server(near, server), tls.Client(far, client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		if c.HandshakeContext(t.Context()) == nil {
			_, _ = io.ReadFull(c, make([]byte, 1)) // tickets come with it
		}
	}()
	err = s.HandshakeContext(t.Context())
	if err == nil {
		_, err = s.Write([]byte{1})
	}
	_ = near.Close()
	<-done
	return s.ConnectionState(), err
}

// Who issues certificates to clients follows the file, and a session of a client of one
// that is not in it any more is not resumed.
func TestIssuersOfClientsFollowTheirFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := edge.CertificateFiles{
		Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), ClientCA: filepath.Join(dir, "ca.crt"), Asked: tls.VerifyClientCertIfGiven,
	}
	cert, key := issue(t, "gateway")
	one, two := newAuthority(t, "one"), newAuthority(t, "two")
	write(t, files.Cert, cert)
	write(t, files.Key, key)
	write(t, files.ClientCA, one.text)
	server, err := edge.Certificates(files, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	clientOne, clientTwo := one.client(t), two.client(t)
	for range 2 {
		if state, err := shake(t, server, clientOne); err != nil || len(state.VerifiedChains) != 1 {
			t.Errorf("a client of the one: %v", err)
		}
	}
	if _, err := shake(t, server, clientTwo); err == nil {
		t.Error("a client of the other was let in")
	}
	if state, err := shake(t, server, &tls.Config{InsecureSkipVerify: true}); err != nil || len(state.PeerCertificates) != 0 { //nolint:gosec // as above
		t.Errorf("a client without a certificate: %v", err)
	}
	time.Sleep(1100 * time.Millisecond) // the files are looked at once a second
	write(t, files.ClientCA, append([]byte("\n"), two.text...))
	if _, err := shake(t, server, clientOne); err == nil {
		t.Error("a client of who is not in the file any more was let in")
	}
	if _, err := shake(t, server, clientTwo); err != nil {
		t.Errorf("a client of who is in the file now: %v", err)
	}
	time.Sleep(1100 * time.Millisecond) // the files are looked at once a second
	write(t, files.ClientCA, []byte("nonsense"))
	if _, err := shake(t, server, clientTwo); err != nil {
		t.Errorf("a file that cannot be read changed something: %v", err)
	}
	files.ClientCA = filepath.Join(dir, "none.crt")
	if _, err := edge.Certificates(files, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file that is not there was accepted")
	}
}
