package admin

import (
	"context"
	"encoding/json"
	"net/http"
)

// Question is what an operator wants to know: what would become of a call.
type Question struct {
	As        string            `json:"as,omitempty"` // the id of an API key; without one, the members below say who calls
	Org       string            `json:"org,omitempty"`
	Team      string            `json:"team,omitempty"`
	User      string            `json:"user,omitempty"`
	Scopes    []string          `json:"scopes,omitempty"`
	Address   string            `json:"address,omitempty"` // of the client; a loopback one if it is left out
	Headers   map[string]string `json:"headers,omitempty"` // of the request, for routing rules that look at them
	Endpoint  string            `json:"endpoint"`
	Method    string            `json:"method"`              // tools/call, prompts/get, resources/read or invoke
	Name      string            `json:"name"`                // of the tool, prompt or model, or the URI
	Arguments json.RawMessage   `json:"arguments,omitempty"` // of invoke, the params beside the model
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
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	var q Question
	if err := readJSON(w, r, maxQuestion, &q); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	out, err := s.Explain(r.Context(), q)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	respond(w, http.StatusOK, out)
}
