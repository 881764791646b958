package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

func (a *app) callCommand() *cobra.Command {
	var to target
	var verbatim string
	cmd := &cobra.Command{
		Use: "call NAME [KEY=VALUE...]", Short: "Call a tool through a running gateway", Args: someArgs("the name of a tool"),
		Long: "Call a tool through a running gateway. A VALUE that is JSON is taken as JSON (2, true, [1,2], '\"2\"'), anything else as text.\n" +
			"--json passes the whole object of arguments on, byte for byte.\n\n" +
			"What the tool says goes to standard output: text as it is, other content as JSON; -o json prints the whole result as it arrived.\n" +
			"Progress goes to standard error. When the tool itself reports an error, what it says is printed and the exit code is 5.",
		Example: "  headgate call demo__add a=2 b=3\n" +
			"  headgate call demo__echo --json '{\"text\":\"hello\"}'\n" +
			"  headgate call stream__count to=5\n" +
			"  headgate call add a=2 b=3 --url http://127.0.0.1:8970/mcp/demo -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			arguments, err := a.arguments(args[1:], verbatim, cmd.Flags().Changed("json"))
			if err != nil {
				return err
			}
			return a.callTool(ctx, to, args[0], arguments)
		},
	}
	cmd.Flags().StringVar(&verbatim, "json", "", "all arguments as one JSON `OBJECT`, or - to read it from standard input")
	to.register(cmd, a)
	a.outputFlag(cmd)
	return cmd
}

// arguments returns the text of the object of arguments.
func (a *app) arguments(pairs []string, verbatim string, given bool) (json.RawMessage, error) {
	switch {
	case !given:
		return argumentsOf(pairs)
	case len(pairs) > 0:
		return nil, usage("KEY=VALUE and --json exclude each other")
	case verbatim == "-":
		text, err := io.ReadAll(a.in)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return object(text)
	}
	return object([]byte(verbatim))
}

func (a *app) callTool(ctx context.Context, to target, name string, arguments json.RawMessage) error {
	r, err := dial(to)
	if err != nil {
		return err
	}
	defer r.close(ctx)
	response, err := r.callTool(ctx, name, arguments, nil, a.hear)
	if err != nil {
		return err
	}
	if response.Err != nil {
		response, err = r.reconsider(ctx, response.Err, name, arguments, a.hear)
		if err != nil {
			return err
		}
	}
	return a.printResult(name, response)
}

// callTool sends one tools/call.
func (r *remote) callTool(
	ctx context.Context, name string, arguments json.RawMessage, mirrored []rpc.ParamHeader, heard func(*rpc.Message),
) (*rpc.Message, error) {
	params := append([]byte(`{"name":`), rpc.AppendString(nil, name)...)
	params = append(append(params, `,"arguments":`...), arguments...)
	params = append(params, `,"_meta":{"progressToken":1}}`...)
	request := rpc.NewRequest(rpc.NumberID(1), mcp.ToolsCall, params)
	if request.Method == "" {
		return nil, usage("the arguments are nested too deeply")
	}
	about := rpc.Target{Kind: rpc.Tool, Exposed: name, Upstream: remoteName, Own: name, ParamHeaders: mirrored}
	return r.ask(ctx, request, about, heard)
}

// reconsider looks at the list of tools after a call was refused. A tool may want arguments mirrored in headers, which only its schema
// says: then the call is made again (SEP-2243). Otherwise the list is for advice.
func (r *remote) reconsider(
	ctx context.Context, refused *rpc.WireError, name string, arguments json.RawMessage, heard func(*rpc.Message),
) (*rpc.Message, error) {
	f := refusal(refused)
	if refused.Code != mcp.CodeHeaderMismatch && refused.Code != mcp.CodeInvalidParams {
		return nil, f
	}
	tools, err := r.tools(ctx)
	if err != nil {
		return nil, f
	}
	for _, t := range tools {
		if t.name != name {
			continue
		}
		mirrored, err := mcp.ParamHeaders(t.schema)
		if err != nil || len(mirrored) == 0 || refused.Code != mcp.CodeHeaderMismatch {
			return nil, f
		}
		response, err := r.callTool(ctx, name, arguments, mirrored, heard)
		if err == nil && response.Err != nil {
			return nil, refusal(response.Err)
		}
		return response, err
	}
	f.Code = "unknown_tool"
	if !strings.Contains(f.Message, "did you mean") { // Headgate gives advice itself, other servers do not
		f.Hint = advice(name, tools)
	}
	return nil, f
}

// advice says which tool was probably meant.
func advice(name string, tools []listed) string {
	names := make([]string, 0, len(tools))
	var owned []string // forgotten prefix
	for _, t := range tools {
		names = append(names, t.name)
		if strings.HasSuffix(t.name, "__"+name) {
			owned = append(owned, t.name)
		}
	}
	if near := config.Nearest(name, names); near != "" && len(owned) == 0 {
		owned = []string{near}
	}
	if len(owned) > 0 {
		return "did you mean: " + strings.Join(owned, ", ")
	}
	return invocation() + " tools lists what there is"
}
