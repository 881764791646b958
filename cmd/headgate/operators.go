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

// Variables that say where the operators' listener is, and hold the token that it may want.
const (
	adminVariable = "HEADGATE_ADMIN_URL"
	tokenVariable = "HEADGATE_ADMIN_TOKEN"
)

// maxAdminAnswer bounds an answer of the operators' listener.
const maxAdminAnswer = 64 << 20

// operators is the listener for operators of a running gateway.
type operators struct {
	app     *app
	address string
}

func (o *operators) register(cmd *cobra.Command, a *app) {
	o.app = a
	address, _ := a.env(adminVariable)
	address = firstOr(address, "http://"+config.Default().Admin.Listen)
	cmd.Flags().StringVar(&o.address, "admin", address,
		"the operators' listener; "+adminVariable+" changes the default, and "+tokenVariable+" holds its token, if it wants one")
}

// send sends a request and reads the answer, if it has content. It returns the status, of which those from 300 on have been read into
// into too; the error says that there is no answer.
func (o *operators) send(ctx context.Context, method, path string, body, into any) (int, error) {
	response, err := o.open(ctx, method, path, body)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAdminAnswer))
	if err != nil {
		return 0, unexpected(err)
	}
	if response.StatusCode == http.StatusNoContent {
		return response.StatusCode, nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return 0, unexpected(fmt.Errorf("%s answered %s, and nothing that can be read", o.address, response.Status))
	}
	return response.StatusCode, nil
}

// get reads what the API has at a path.
func (o *operators) get(ctx context.Context, path string, into any) error {
	status, err := o.send(ctx, http.MethodGet, path, struct{}{}, into)
	if err == nil && status != http.StatusOK {
		err = &failure{exit: exitUnreachable, Code: "unavailable", Status: status, Message: fmt.Sprintf("%s cannot tell this at the moment", o.address)}
	}
	return err
}

// open sends a request and returns the answer as it begins, unless it wants credentials. The caller closes its body.
func (o *operators) open(ctx context.Context, method, path string, body any) (*http.Response, error) {
	u, err := url.Parse(o.address)
	if err != nil || u.Host == "" {
		return nil, usage("--admin %s is not a URL such as http://127.0.0.1:8971", o.address)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, unexpected(err)
	}
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(o.address, "/")+path, bytes.NewReader(text))
	if err != nil {
		return nil, unexpected(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token, ok := o.app.env(tokenVariable); ok && token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// A transport of its own: a proxy from the environment has no place between a process and its neighbour.
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return nil, &failure{
			exit: exitUnreachable, Code: "unreachable", Message: fmt.Sprintf("nothing answers at %s: %v", u.Host, err),
			Hint: "is the gateway running? --admin names another operators' listener",
		}
	}
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		defer response.Body.Close()
		answer, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // what is not there is not shown
		return nil, &failure{
			exit: exitAuth, Code: "credentials_needed", Status: response.StatusCode,
			Message: fmt.Sprintf("%s lets operators in only: %s", u.Host, rpc.Excerpt(strings.TrimSpace(string(answer)))), Hint: "put the token of admin.token into " + tokenVariable,
		}
	}
	return response, nil
}
