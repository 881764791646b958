package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/admin/live"
	"github.com/headgate/headgate/rpc"
)

func (a *app) streamsCommand() *cobra.Command {
	var to operators
	cmd := &cobra.Command{
		Use: "streams", Short: "List the calls in flight and the streams that stand open", Args: noArgs,
		Long: "List the calls in flight of a running gateway with how far each has come and for how long it runs, the streams that stand open, and the\n" +
			"connections that carry many messages. Each has an ID by which it can be cancelled.",
		Example: "  headgate streams\n  headgate streams -o json\n  headgate streams cancel 4f1d03c96ab2e870",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.streams(cmd.Context(), &to) },
	}
	to.register(cmd, a)
	a.outputFlag(cmd)
	cmd.AddCommand(a.streamsCancelCommand())
	return cmd
}

func (a *app) streamsCancelCommand() *cobra.Command {
	var to operators
	cmd := &cobra.Command{
		Use: "cancel ID...", Short: "Cancel calls in flight, or end streams and connections", Args: someArgs("an ID"),
		Long: "Cancel calls in flight, or end streams and connections, by the IDs that headgate streams lists. The client of a call gets an error that\n" +
			"says that it was cancelled by an operator; the server is told that nobody waits for it any more.",
		Example: "  headgate streams cancel 4f1d03c96ab2e870",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.cancelStreams(cmd.Context(), &to, args) },
	}
	to.register(cmd, a)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) streams(ctx context.Context, to *operators) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var s standing
	for path, into := range map[string]any{"calls": &s.Calls, "streams": &s.Streams, "connections": &s.Connections} {
		if err := to.get(ctx, "/api/v1/"+path+"?limit=1000", into); err != nil {
			return err
		}
	}
	if a.output == asJSON {
		return a.printJSON(map[string]any{"calls": s.Calls, "streams": s.Streams, "connections": s.Connections})
	}
	t := s.calls()
	return a.printTable(t.header, t.rows)
}

func (a *app) cancelStreams(ctx context.Context, to *operators, ids []string) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	for _, id := range ids {
		kind := "connections"
		if _, ok := live.ParseID(id); ok {
			kind = "calls"
		}
		var refused struct {
			Error string `json:"error"`
		}
		status, err := to.send(ctx, http.MethodDelete, "/api/v1/"+kind+"/"+url.PathEscape(id), struct{}{}, &refused)
		switch {
		case err != nil:
			return err
		case status == http.StatusNotFound:
			return &failure{
				exit: exitUnexpected, Code: "not_found", Status: status, Message: fmt.Sprintf("nothing is in flight with the ID %s", rpc.Excerpt(id)),
				Hint: invocation() + " streams lists what is; it may have ended by itself",
			}
		case status != http.StatusNoContent:
			return unexpected(fmt.Errorf("%s was not cancelled: %s", rpc.Excerpt(id), rpc.Excerpt(refused.Error)))
		}
	}
	return nil
}
