package engine

import (
	"encoding/json"
	"net/http"
)

// Control is an engine with what a person or a load test in another process needs of its Go methods:
//
//	GET    /control/stats    [Stats]
//	GET    /control/ledger   the [Record] of every request
//	DELETE /control/ledger   forget them
//	POST   /control/fault    add the [Fault] of the body
//	DELETE /control/fault    heal
func Control(e *Engine) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", e)
	mux.HandleFunc("GET /control/stats", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.Stats()) })
	mux.HandleFunc("GET /control/ledger", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.Ledger()) })
	mux.HandleFunc("DELETE /control/ledger", func(http.ResponseWriter, *http.Request) { e.Forget() })
	mux.HandleFunc("DELETE /control/fault", func(http.ResponseWriter, *http.Request) { e.Heal() })
	mux.HandleFunc("POST /control/fault", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&f); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if !f.Kind.known() {
			http.Error(w, "unknown kind of fault", http.StatusBadRequest)
			return
		}
		e.Fail(f)
	})
	return mux
}

func (k Kind) known() bool {
	switch k {
	case Refuse, Reset, Cut, Unfinished, Stall, Garbage, StreamError, NoUsage, Die:
		return true
	}
	return false
}
