package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/headgate/headgate/config"
)

// Exit codes. The first four failures have the codes of MCP's inspector, so that scripts can move from one to the other; 2 is left
// out, because shells use it.
const (
	exitOK          = 0
	exitUnexpected  = 1 // wrong usage too
	exitAuth        = 3 // credentials are needed
	exitUnreachable = 4 // nothing answers
	exitTool        = 5 // the tool reported an error
	exitConfig      = 6 // the configuration is invalid
	exitDegraded    = 7 // some upstream is down
	exitRefused     = 8 // a policy or a limit says no
)

// failure is why a command failed: the last thing on standard error, in words or, under -o json, as one object.
type failure struct {
	exit     int
	Code     string    `json:"code"` // a stable word
	Message  string    `json:"message"`
	Hint     string    `json:"hint,omitempty"` // what to do next
	Upstream string    `json:"upstream,omitempty"`
	Status   int       `json:"status,omitempty"`   // of HTTP, where it is known and says more
	Problems []finding `json:"problems,omitempty"` // of a configuration
	cause    error
}

// Unwrap returns what the failure was made of, if that says more.
func (f *failure) Unwrap() error { return f.cause }

// Error returns what a person is told.
func (f *failure) Error() string {
	if f.Hint == "" {
		return f.Message
	}
	return f.Message + "\n  " + strings.ReplaceAll(f.Hint, "\n", "\n  ")
}

// usage is a failure of whoever typed the command.
func usage(format string, args ...any) *failure {
	return &failure{exit: exitUnexpected, Code: "usage", Message: fmt.Sprintf(format, args...)}
}

// unexpected is a failure that nobody foresaw.
func unexpected(err error) *failure {
	return &failure{exit: exitUnexpected, Code: "unexpected", Message: err.Error()}
}

// invalid is a failure of the configuration, for one problem or for many.
func invalid(err error) *failure {
	f := &failure{exit: exitConfig, Code: "config_invalid", Message: err.Error(), cause: err}
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		return f
	}
	f.Problems = findings(problems)
	if len(problems) > 1 {
		f.Message, f.Hint = fmt.Sprintf("%d problems in the configuration:", len(problems)), err.Error()
	}
	return f
}

// failureOf makes a failure of any error that a command returns.
func failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if _, ok := errors.AsType[config.Problems](err); ok {
		return invalid(err)
	}
	if errors.Is(err, context.Canceled) {
		return &failure{exit: exitUnexpected, Code: "interrupted", Message: "interrupted"}
	}
	// The library's error for an unknown command brings suggestions below it.
	if message, suggestions, ok := strings.Cut(err.Error(), "\n\nDid you mean this?\n\t"); ok {
		f := usage("%s", message)
		f.Hint = "did you mean: headgate " + strings.Join(strings.Fields(suggestions), ", headgate ")
		return f
	}
	if strings.HasPrefix(err.Error(), "unknown command ") {
		f := usage("%v", err)
		f.Hint = "headgate --help lists the commands"
		return f
	}
	return unexpected(err)
}

// report tells why a command failed and returns the exit code.
func (a *app) report(err error) int {
	f := failureOf(err)
	if a.output != asJSON {
		fmt.Fprintf(a.err, "headgate: %s\n", a.visible(a.err, f.Error()))
		return f.exit
	}
	if text, err := json.Marshal(map[string]*failure{"error": f}); err == nil {
		fmt.Fprintf(a.err, "%s\n", text)
	}
	return f.exit
}
