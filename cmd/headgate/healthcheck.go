package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
)

// healthTimeout is below the timeout of container engines, so that the reason is seen.
const healthTimeout = 2 * time.Second

func (a *app) healthcheckCommand() *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use: "healthcheck", Short: "Tell by exit code whether a gateway is alive", Args: noArgs,
		Long: "Ask the operators' listener of a gateway on this machine whether the process is alive. The exit code is 0 if it is and 1 if it is\n" +
			"not, as HEALTHCHECK in a container image wants it, where there is no other program that could ask.",
		Example: "  headgate healthcheck\n  headgate healthcheck --url http://127.0.0.1:9001",
		RunE:    func(cmd *cobra.Command, _ []string) error { return checkHealth(cmd.Context(), address) },
	}
	cmd.Flags().StringVar(&address, "url", "http://"+config.Default().Admin.Listen, "the operators' listener")
	return cmd
}

func checkHealth(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return usage("--url %s is not a URL such as http://127.0.0.1:8971", address)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/healthz"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return unexpected(err)
	}
	// A transport of its own: a proxy from the environment has no place between a process and its neighbour.
	response, err := (&http.Transport{}).RoundTrip(request)
	if err != nil {
		return unhealthy(0, fmt.Sprintf("nothing answers at %s: %v", u.Host, err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return unhealthy(response.StatusCode, fmt.Sprintf("%s answers %s", u, response.Status))
	}
	return nil
}

func unhealthy(status int, message string) *failure {
	return &failure{exit: exitUnexpected, Code: "unhealthy", Message: message, Status: status}
}
