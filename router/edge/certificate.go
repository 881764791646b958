package edge

import (
	"crypto/tls"
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

// Certificates returns a TLS configuration whose certificate follows its files: when
// either of them changes, the next handshake that is at least a second after the
// last look loads the pair. A new pair that does not load is logged and the one in
// use stays. TLS 1.2 is the oldest version, HTTP/2 is offered.
func Certificates(cert, key string, log *slog.Logger) (*tls.Config, error) {
	p := &pair{cert: cert, key: key, log: log}
	if err := p.load(); err != nil {
		return nil, err
	}
	p.looked = time.Now()
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: p.get,
	}, nil
}

// pair is a certificate and its key in two files.
type pair struct {
	cert, key string
	log       *slog.Logger
	current   atomic.Pointer[tls.Certificate]

	mu      sync.Mutex
	looked  time.Time
	stamps  [2]stamp // of the files when they were last loaded
	refused string   // the last error, logged once
}

// stamp tells whether a file is the one that was seen before.
type stamp struct {
	modified time.Time
	size     int64
}

func (p *pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.refresh()
	return p.current.Load(), nil
}

// refresh loads the pair again if its files changed. Handshakes do not wait for one
// that is looking already.
func (p *pair) refresh() {
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
		p.log.Warn("new certificate refused, the old one stays in use", "error", err)
	}
}

func (p *pair) reload() error {
	stamps, err := p.stat()
	if err != nil || stamps == p.stamps {
		return err
	}
	if err := p.load(); err != nil {
		return err
	}
	p.log.Info("certificate loaded", "cert", p.cert)
	return nil
}

// load reads both files. The stamps are taken first, so that a change in between is
// found by the next look.
func (p *pair) load() error {
	stamps, err := p.stat()
	if err != nil {
		return err
	}
	c, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", p.cert, p.key, err)
	}
	p.current.Store(&c)
	p.stamps = stamps
	return nil
}

func (p *pair) stat() (out [2]stamp, err error) {
	for i, name := range []string{p.cert, p.key} {
		info, e := os.Stat(name)
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		out[i] = stamp{info.ModTime(), info.Size()}
	}
	return out, err
}
