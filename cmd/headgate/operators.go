package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
)

// tokenVariable holds the token of operators, where their listener wants one.
const tokenVariable = "HEADGATE_ADMIN_TOKEN"

// maxAdminAnswer bounds an answer of the operators' listener.
const maxAdminAnswer = 64 << 20

// operators is the listener for operators of a running gateway.
type operators struct {
	app     *app
	address string
}

func (o *operators) register(cmd *cobra.Command, a *app) {
	o.app = a
	cmd.Flags().StringVar(&o.address, "admin", "http://"+config.Default().Admin.Listen, "the operators' listener; "+tokenVariable+" holds its token, if it wants one")
}

// send sends a request and reads the answer. It returns the status, of which those from 300 on have been read into into too; the error
// says that there is no answer.
func (o *operators) send(ctx context.Context, method, path string, body, into any) (int, error) {
	u, err := url.Parse(o.address)
	if err != nil || u.Host == "" {
		return 0, usage("--admin %s is not a URL such as http://127.0.0.1:8971", o.address)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return 0, unexpected(err)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(o.address, "/")+path, bytes.NewReader(text))
	if err != nil {
		return 0, unexpected(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token, ok := o.app.env(tokenVariable); ok && token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// A transport of its own: a proxy from the environment has no place between a process and its neighbour.
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return 0, &failure{
			exit: exitUnreachable, Code: "unreachable", Message: fmt.Sprintf("nothing answers at %s: %v", u.Host, err),
			Hint: "is the gateway running? --admin names another operators' listener",
		}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAdminAnswer))
	if err != nil {
		return 0, unexpected(err)
	}
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return 0, &failure{
			exit: exitAuth, Code: "credentials_needed", Status: response.StatusCode,
			Message: fmt.Sprintf("%s lets operators in only: %s", u.Host, rpc.Excerpt(strings.TrimSpace(string(answer)))), Hint: "put the token of admin.token into " + tokenVariable,
		}
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return 0, unexpected(fmt.Errorf("%s answered %s, and nothing that can be read", u.Host, response.Status))
	}
	return response.StatusCode, nil
}
