package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Question is what an operator wants to know: what would become of a call.
type Question struct {
	As        string          `json:"as,omitempty"` // the id of an API key; without one, the members below say who calls
	Org       string          `json:"org,omitempty"`
	Team      string          `json:"team,omitempty"`
	User      string          `json:"user,omitempty"`
	Scopes    []string        `json:"scopes,omitempty"`
	Address   string          `json:"address,omitempty"` // of the client; a loopback one if it is left out
	Endpoint  string          `json:"endpoint"`
	Method    string          `json:"method"` // tools/call, prompts/get or resources/read
	Name      string          `json:"name"`   // of the tool or prompt, or the URI
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// Explanation is the answer: what each stage on the way of the call would do, up to the
// one that refuses it.
type Explanation struct {
	Outcome   string `json:"outcome"` // passes, or the code of the refusal
	Canonical string `json:"canonical,omitempty"`
	Upstream  string `json:"upstream,omitempty"`
	Listed    bool   `json:"listed"` // whether the caller sees it in lists
	Steps     []Step `json:"steps"`
}

// Step is what one stage does with the call.
type Step struct {
	Stage  string `json:"stage"`
	Passes bool   `json:"passes"`
	Reason string `json:"reason"`
}

// Explainer answers questions about calls. The error says what is wrong with the
// question.
type Explainer func(ctx context.Context, q Question) (Explanation, error)

// maxQuestion bounds a question.
const maxQuestion = 1 << 20

// explain serves POST /explain.
func explain(answer Explainer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q Question
		if err := readQuestion(w, r, &q); err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		out, err := answer(r.Context(), q)
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(out) // a client that left needs no answer
	}
}

func readQuestion(w http.ResponseWriter, r *http.Request, q *Question) error {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return errors.New("the question must be application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion))
	d.DisallowUnknownFields()
	if err := d.Decode(q); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("one question at a time")
	}
	return nil
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) // as above
}

// private serves operators on this machine only, and no web page that was made to
// resolve here (DNS rebinding): pages send an Origin, and another name as Host.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" || !loopbackHost(r.Host) {
			refuse(w, http.StatusForbidden, errors.New("this is for operators on the gateway's own machine"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}
