package edge

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookInterval is how often the certificate's files are looked at, at most.
const lookInterval = time.Second

// CertificateFiles says where a listener's certificates are, and whether clients show
// theirs.
type CertificateFiles struct {
	Cert, Key string // the listener's own
	ClientCA  string // who issues certificates to clients; empty if they are not asked for any
	Asked     tls.ClientAuthType
}

// Certificates returns a TLS configuration whose certificates follow their files: when
// one of them changes, the next handshake that is at least a second after the last
// look loads them. New ones that do not load are logged and those in use stay. TLS 1.2
// is the oldest version, HTTP/2 is offered.
func Certificates(files CertificateFiles, log *slog.Logger) (*tls.Config, error) {
	p := &certificates{CertificateFiles: files, log: log}
	if err := p.load(); err != nil {
		return nil, err
	}
	p.looked = time.Now()
	cfg := p.config(nil)
	if files.ClientCA != "" {
		cfg.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			p.refresh()
			return p.trusting.Load(), nil
		}
	}
	return cfg, nil
}

// config makes the configuration of a handshake. One for other issuers is made anew, so
// that no session of the old one can be resumed with it.
func (p *certificates) config(issuers *x509.CertPool) *tls.Config {
	cfg := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: p.get,
	}
	if issuers != nil {
		cfg.ClientCAs, cfg.ClientAuth = issuers, p.Asked
	}
	return cfg
}

// certificates are the files and what was last read from them.
type certificates struct {
	CertificateFiles
	log      *slog.Logger
	current  atomic.Pointer[tls.Certificate]
	trusting atomic.Pointer[tls.Config] // nil where clients are not asked

	mu      sync.Mutex
	looked  time.Time
	stamps  [3]stamp // of the files when they were last loaded
	refused string   // the last error, logged once
}

// stamp tells whether a file is the one that was seen before.
type stamp struct {
	modified time.Time
	size     int64
}

func (p *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.refresh()
	return p.current.Load(), nil
}

// refresh loads the files again if they changed. Handshakes do not wait for one
// that is looking already.
func (p *certificates) refresh() {
	if !p.mu.TryLock() {
		return
	}
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.looked) < lookInterval {
		return
	}
	p.looked = now
	err := p.reload()
	switch {
	case err == nil:
		p.refused = ""
	case err.Error() != p.refused:
		p.refused = err.Error()
		p.log.Warn("new certificates refused, the old ones stay in use", "error", err)
	}
}

func (p *certificates) reload() error {
	stamps, err := p.stat()
	if err != nil || stamps == p.stamps {
		return err
	}
	if err := p.load(); err != nil {
		return err
	}
	p.log.Info("certificate loaded", "cert", p.Cert)
	return nil
}

// load reads the files. The stamps are taken first, so that a change in between is
// found by the next look.
func (p *certificates) load() error {
	stamps, err := p.stat()
	if err != nil {
		return err
	}
	c, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", p.Cert, p.Key, err)
	}
	if p.ClientCA != "" && stamps[2] != p.stamps[2] {
		text, err := os.ReadFile(p.ClientCA)
		if err != nil {
			return fmt.Errorf("client_ca: %w", err)
		}
		issuers := x509.NewCertPool()
		if !issuers.AppendCertsFromPEM(text) {
			return fmt.Errorf("client_ca %s: no certificate in it", p.ClientCA)
		}
		p.trusting.Store(p.config(issuers))
	}
	p.current.Store(&c)
	p.stamps = stamps
	return nil
}

func (p *certificates) stat() (out [3]stamp, err error) {
	for i, name := range []string{p.Cert, p.Key, p.ClientCA} {
		if name == "" {
			continue
		}
		info, e := os.Stat(name)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		out[i] = stamp{info.ModTime(), info.Size()}
	}
	return out, err
}
