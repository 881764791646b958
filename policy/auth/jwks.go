package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sync/singleflight"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// How old the public keys of an issuer may be.
const (
	keysFresh = 5 * time.Minute  // after that they are fetched again, while they are in use
	keysUsed  = 24 * time.Hour   // after that they are not used any more
	keysAgain = 10 * time.Second // between two fetches at least, whatever tokens ask for
	maxKeys   = 100
)

// keySet is the public keys of an issuer, as it publishes them. They are fetched when
// a token needs them, by one call for all that wait.
type keySet struct {
	issuer  string
	address string // of the keys; empty if the issuer's metadata says where
	fetch   *fetcher
	store   *jwkset.MemoryJWKSet
	lookup  keyfunc.Keyfunc
	one     singleflight.Group
	running sync.WaitGroup

	mu      sync.Mutex
	tried   time.Time // when they were last asked for
	fetched time.Time // when they last came
	closed  bool
}

func newKeySet(cfg config.JWT) (*keySet, error) {
	s := &keySet{issuer: cfg.Issuer, address: cfg.JWKSURI, store: jwkset.NewMemoryStorage()}
	var err error
	if s.lookup, err = keyfunc.New(keyfunc.Options{Storage: s.store}); err != nil {
		return nil, err
	}
	first := cfg.JWKSURI
	if first == "" {
		first = cfg.Issuer
	}
	s.fetch, err = newFetcher(first, cfg.AllowPrivate)
	return s, err
}

// key returns the key that a token says it is signed with.
func (s *keySet) key(ctx context.Context, t *jwt.Token) (any, error) {
	if kid, ok := t.Header["kid"].(string); !ok || kid == "" {
		return nil, &refusal{reason: "it does not name its key"}
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	key, err := s.lookup.KeyfuncCtx(ctx)(t)
	if errors.Is(err, jwkset.ErrKeyNotFound) && s.mayAsk() {
		if err := s.refresh(ctx); err != nil {
			return nil, err
		}
		key, err = s.lookup.KeyfuncCtx(ctx)(t)
	}
	if err != nil {
		return nil, &refusal{reason: "its key is not one of its issuer's", cause: err}
	}
	return key, nil
}

// ready sees to it that there are keys. Those that are not fresh are good enough while
// fresh ones come.
func (s *keySet) ready(ctx context.Context) error {
	s.mu.Lock()
	age := time.Since(s.fetched)
	s.mu.Unlock()
	switch {
	case age < keysFresh:
		return nil
	case age > keysUsed:
		return s.refresh(ctx)
	case s.mayAsk():
		s.start(ctx)
	}
	return nil
}

// mayAsk reports whether the last fetch is long enough ago for another one.
func (s *keySet) mayAsk() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.tried) >= keysAgain
}

// refresh fetches the keys, or waits for whoever does.
func (s *keySet) refresh(ctx context.Context) error {
	select {
	case result := <-s.start(ctx):
		if result.Err != nil {
			return &rpc.Error{
				Code: rpc.AuthDown, Message: "the keys of the credential's issuer cannot be had; try again later",
				RetryAfter: keysAgain, Cause: fmt.Errorf("issuer %q: %w", s.issuer, result.Err),
			}
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// start begins a fetch unless one runs. It does not end with the call that was first
// to need it.
func (s *keySet) start(ctx context.Context) <-chan singleflight.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		done := make(chan singleflight.Result, 1)
		done <- singleflight.Result{Err: errors.New("the gateway is shutting down")}
		return done
	}
	s.running.Add(1)
	out := make(chan singleflight.Result, 1)
	go func() {
		defer s.running.Done()
		v, err, shared := s.one.Do("", func() (any, error) { return nil, s.load(context.WithoutCancel(ctx)) })
		out <- singleflight.Result{Val: v, Err: err, Shared: shared}
	}()
	return out
}

func (s *keySet) load(ctx context.Context) error {
	s.mu.Lock()
	if wait := keysAgain - time.Since(s.tried); wait > 0 && s.fetched.Before(s.tried) {
		s.mu.Unlock()
		return errors.New("the last attempt has just failed")
	}
	s.tried = time.Now()
	s.mu.Unlock()
	address, err := s.locate(ctx)
	if err != nil {
		return err
	}
	var set jwkset.JWKSMarshal
	if err := s.fetch.get(ctx, address, &set); err != nil {
		return err
	}
	keys, err := usable(set)
	if err != nil {
		return err
	}
	if err := s.store.KeyReplaceAll(ctx, keys); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched = time.Now()
	return nil
}

// usable reads the keys that verify signatures. Addresses of certificates in them are
// not followed; keys of other kinds are no reason to refuse the rest.
func usable(set jwkset.JWKSMarshal) ([]jwkset.JWK, error) {
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("more than %d keys", maxKeys)
	}
	var out []jwkset.JWK
	for _, m := range set.Keys {
		if m.KTY == jwkset.KtyOct || m.USE != "" && m.USE != jwkset.UseSig || m.KID == "" {
			continue
		}
		m.X5U, m.X5C, m.X5T, m.X5TS256 = "", nil, "", ""
		if k, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{}); err == nil {
			out = append(out, k)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no key that verifies signatures")
	}
	return out, nil
}

// locate returns where the keys are.
func (s *keySet) locate(ctx context.Context) (string, error) {
	if s.address != "" {
		return s.address, nil
	}
	var problems []error
	for _, at := range metadataAddresses(s.issuer) {
		var doc struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
		}
		if err := s.fetch.get(ctx, at, &doc); err != nil {
			problems = append(problems, err)
			continue
		}
		// Whoever answers for another issuer must not be believed (RFC 8414 §3.3).
		if doc.Issuer != s.issuer || doc.JWKS == "" {
			problems = append(problems, fmt.Errorf("the metadata is of another issuer, or says nothing of keys"))
			continue
		}
		return doc.JWKS, nil
	}
	return "", errors.Join(problems...)
}

// close waits for what is being fetched, and fetches no more.
func (s *keySet) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
	s.fetch.close()
}
