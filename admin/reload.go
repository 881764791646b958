package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/headgate/headgate/config"
)

// Configuration says which configuration is in force, and what became of the last attempt to put another one there.
type Configuration struct {
	Generation  uint64     `json:"generation"`            // 1 at the start, one more with each change that took effect
	Hash        string     `json:"hash"`                  // of all values that are no secrets
	Since       time.Time  `json:"since"`                 // it is in force
	LastAttempt *time.Time `json:"lastAttempt,omitempty"` // to read the configuration again
	LastSuccess *time.Time `json:"lastSuccess,omitempty"` // of those
	Failed      bool       `json:"failed"`                // the last attempt did, so that the configuration is older than its files
	Problems    []Problem  `json:"problems,omitempty"`    // that it failed of
	Restart     []string   `json:"restart,omitempty"`     // options whose new values wait for a restart
}

// Reloaded is what an attempt to put another configuration in force came to.
type Reloaded struct {
	Configuration
	Changes []config.Change `json:"changes,omitempty"`
	Error   string          `json:"error,omitempty"` // why it failed, where that is no problem of the configuration
}

// Problem is something that is wrong with a configuration.
type Problem struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// ProblemsOf returns the problems that an error consists of; one without a place if it is another error.
func ProblemsOf(err error) []Problem {
	var all config.Problems
	if !errors.As(err, &all) {
		return []Problem{{Message: err.Error()}}
	}
	out := make([]Problem, 0, len(all))
	for _, p := range all {
		out = append(out, Problem{p.File, p.Line, p.Column, p.Field, p.Message, p.Hint})
	}
	return out
}

// String returns the place and what is wrong there, in one line.
func (p Problem) String() string {
	at := config.Position{File: p.File, Line: p.Line, Column: p.Column}.String()
	if at == "" {
		return p.Message
	}
	return at + ": " + p.Message
}

// Reloader is what reads the configuration again, and says what another one would change.
type Reloader interface {
	// Configuration returns what is in force.
	Configuration() Configuration
	// ReloadFiles reads the configuration again and puts it in force if it is good. Why says who wanted that.
	ReloadFiles(ctx context.Context, why string) Reloaded
	// Differences returns what would change with a configuration that has these settings.
	Differences(settings []config.Setting) []config.Change
}

// maxSettings bounds the settings that somebody wants compared.
const maxSettings = 32 << 20

// Reloading are the handlers by which operators see and change which configuration is in force: GET
// /api/v1/configuration, POST /api/v1/reload, which answers 422 if it fails, and POST /api/v1/diff, which takes an array of
// settings. The answers hold no secrets.
func Reloading(r Reloader) map[string]http.Handler {
	return map[string]http.Handler{
		"GET /api/v1/configuration": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			respond(w, http.StatusOK, r.Configuration())
		}),
		"POST /api/v1/reload": http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			out := r.ReloadFiles(req.Context(), "operator")
			status := http.StatusOK
			if out.Failed {
				status = http.StatusUnprocessableEntity
			}
			respond(w, status, out)
		}),
		"POST /api/v1/diff": http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			var settings []config.Setting
			if err := readJSON(w, req, maxSettings, &settings); err != nil {
				refuse(w, http.StatusBadRequest, err)
				return
			}
			respond(w, http.StatusOK, r.Differences(settings))
		}),
	}
}
