package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Bounds of what is fetched from an identity provider.
const (
	fetchTimeout  = 5 * time.Second
	maxAnswer     = 1 << 20
	maxRedirects  = 3
	maxConnsToIDP = 8
)

// fetcher gets documents from an identity provider. What a document or a redirect
// names must not lead into the network that the gateway is in (server-side request
// forgery): the address is checked when the connection is made, after names have been
// looked up. Only the one host that the operator wrote down may be excepted.
type fetcher struct {
	client  *http.Client
	private string // host:port that may be a private address; empty if none may
}

// newFetcher makes a fetcher for an address of the configuration.
func newFetcher(address string, allowPrivate bool) (*fetcher, error) {
	return fetcherOver(&net.Dialer{Timeout: fetchTimeout, ControlContext: checkAddress}, address, allowPrivate)
}

// fetcherOver makes a fetcher that connects by a dialer which checks addresses.
func fetcherOver(guarded *net.Dialer, address string, allowPrivate bool) (*fetcher, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	f := &fetcher{}
	if allowPrivate {
		f.private = hostPort(u)
	}
	f.client = &http.Client{
		Timeout:       fetchTimeout,
		CheckRedirect: f.redirect,
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would connect for us, without checking
			DialContext:            f.dialer(guarded),
			DisableCompression:     true,
			MaxResponseHeaderBytes: 64 << 10,
			MaxConnsPerHost:        maxConnsToIDP,
			IdleConnTimeout:        30 * time.Second,
			TLSHandshakeTimeout:    fetchTimeout,
			ForceAttemptHTTP2:      true,
		},
	}
	return f, nil
}

// dialer returns how connections are made.
func (f *fetcher) dialer(guarded *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	open := *guarded
	open.ControlContext = nil
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if f.private != "" && strings.EqualFold(address, f.private) {
			return open.DialContext(ctx, network, address)
		}
		return guarded.DialContext(ctx, network, address)
	}
}

// hostPort is how a transport names the host of an address.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
		if u.Scheme == "http" {
			port = "80"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// errPrivate is why a connection was not made.
var errPrivate = errors.New("the address is in a private network")

// checkAddress refuses connections to private addresses. It sees the address that is
// about to be connected to, so that a name cannot mean one thing when it is checked and
// another when it is used.
func checkAddress(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(ap.Addr()) {
		return errPrivate
	}
	return nil
}

// redirect follows redirects of GETs, and none to the host that may be private: only
// the operator's own address leads there.
func (f *fetcher) redirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case via[0].Method != http.MethodGet:
		return errors.New("a redirect where credentials were sent")
	case f.private != "" && strings.EqualFold(hostPort(req.URL), f.private):
		return errPrivate
	}
	return f.check(req.URL)
}

// check refuses addresses that are not encrypted or carry more than an address.
func (f *fetcher) check(u *url.URL) error {
	private := f.private != "" && strings.EqualFold(hostPort(u), f.private)
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !private):
		return errors.New("the address does not begin with https://")
	case u.Hostname() == "" || u.User != nil:
		return errors.New("the address has no host, or a user in it")
	}
	return nil
}

// get reads a JSON document.
func (f *fetcher) get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	return f.do(req, into)
}

// do sends a request and reads the JSON document that is the answer. The request's
// address may come from outside.
func (f *fetcher) do(req *http.Request, into any) error {
	if err := f.check(req.URL); err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	res, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch {
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answered %s", req.URL.Host, res.Status)
	case err != nil || media != "application/json" && !strings.HasSuffix(media, "+json"):
		return fmt.Errorf("%s answered with something else than JSON", req.URL.Host)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxAnswer:
		return fmt.Errorf("%s answered with more than %d bytes", req.URL.Host, maxAnswer)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	return nil
}

func (f *fetcher) close() { f.client.CloseIdleConnections() }
