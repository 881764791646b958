package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// introspector asks a server about tokens (RFC 7662).
type introspector struct {
	cfg     config.Introspection
	fetch   *fetcher
	one     singleflight.Group
	running sync.WaitGroup
}

func newIntrospector(cfg config.Introspection) (*introspector, error) {
	f, err := newFetcher(cfg.URL, cfg.AllowPrivate)
	if err != nil {
		return nil, fmt.Errorf("introspection: %w", err)
	}
	return &introspector{cfg: cfg, fetch: f}, nil
}

func (i *introspector) close() {
	i.running.Wait()
	i.fetch.close()
}

// verify asks about a token, or waits for the answer to whoever asks about the same.
// The error is a *refusal, or what kept the server from being asked.
func (i *introspector) verify(ctx context.Context, d digest, token string, now time.Time) (*identity, error) {
	type outcome struct {
		id  *identity
		err error
	}
	done := make(chan outcome, 1)
	i.running.Go(func() {
		v, err, _ := i.one.Do(string(d[:]), func() (any, error) { return i.ask(context.WithoutCancel(ctx), token, now) })
		id, _ := v.(*identity)
		done <- outcome{id, err}
	})
	select {
	case o := <-done:
		return o.id, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (i *introspector) ask(ctx context.Context, token string, now time.Time) (*identity, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.cfg.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, i.down(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// RFC 6749 §2.3.1: both are encoded like a form before they are put together.
	req.SetBasicAuth(url.QueryEscape(i.cfg.ClientID), url.QueryEscape(i.cfg.ClientSecret.Reveal()))
	answer := map[string]any{}
	if err := i.fetch.do(req, &answer); err != nil {
		return nil, i.down(err)
	}
	return i.read(answer, now)
}

func (i *introspector) down(err error) error {
	// What went wrong names the server, which is nobody's business but the operator's.
	return &rpc.Error{
		Code: rpc.AuthDown, Message: "the credential cannot be checked now; try again later", RetryAfter: 5 * time.Second,
		Cause: fmt.Errorf("introspection: %w", err),
	}
}

// read makes an identity of an answer (RFC 7662 §2.2).
func (i *introspector) read(answer map[string]any, now time.Time) (*identity, error) {
	if active, _ := answer["active"].(bool); !active {
		return nil, &refusal{reason: "it is not active"}
	}
	key := i.cfg.URL
	if issuer, ok := answer["iss"].(string); ok && isPlain(issuer) && len(issuer) <= maxName {
		if key = issuer; i.cfg.Issuer != "" && issuer != i.cfg.Issuer {
			return nil, &refusal{reason: "it is of another issuer"}
		}
	}
	id, refused := identify(answer, i.cfg.Claims, key)
	if refused != nil {
		return nil, refused
	}
	expires, err := instant(answer, "exp")
	if err != nil {
		return nil, err
	}
	begins, err := instant(answer, "nbf")
	switch {
	case err != nil:
		return nil, err
	case !begins.IsZero() && now.Add(leeway).Before(begins):
		return nil, &refusal{reason: "it is not valid yet", benign: true}
	case !expires.IsZero() && !now.Before(expires):
		return nil, &refusal{reason: "it has expired", benign: true}
	}
	id.wanted, id.principal.Expires, id.until = i.cfg.Audience, expires, expires
	if expires.IsZero() {
		id.until = now.Add(i.cfg.Cache) // until it is asked about again
	}
	return id, nil
}

// instant reads a time in seconds since 1970; zero if there is none.
func instant(answer map[string]any, name string) (time.Time, error) {
	switch v := answer[name].(type) {
	case nil:
		return time.Time{}, nil
	case float64:
		const latest = 1 << 40
		if v > 0 && v < latest {
			return time.Unix(int64(v), 0), nil
		}
	}
	return time.Time{}, &refusal{reason: "its lifetime cannot be read", cause: errors.New(name)}
}
