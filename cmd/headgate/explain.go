package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/admin"
	"github.com/headgate/headgate/config"
	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
	"github.com/headgate/headgate/rpc/mcp"
)

// explainTimeout leaves the gateway time to ask upstreams that it has not yet heard of.
const explainTimeout = 15 * time.Second

// explained are the words for what can be explained, and the methods behind them.
var explained = map[string]string{"call": mcp.ToolsCall, "prompt": mcp.PromptsGet, "read": mcp.ResourcesRead, "invoke": infer.Invoke}

func (a *app) explainCommand() *cobra.Command {
	var q admin.Question
	var to operators
	var verbatim string
	var headers []string
	cmd := &cobra.Command{
		Use: "explain call|prompt|read|invoke NAME [KEY=VALUE...]", Short: "Say why something is hidden, denied or limited", Args: someArgs("what to explain"),
		Long: "Ask a running gateway on this machine what would become of a call, without making it: who the caller is, which upstream it goes to by which routing rule,\n" +
			"which scope or rule stands in its way, and how the limits stand that it counts against. The exit code is 8 if it would be refused.\n\n" +
			"--as names an API key by its id, never the key itself. Other callers are described by --org, --team, --user and --scope.",
		Example: "  headgate explain call files__write_file --as ci\n" +
			"  headgate explain call search__find query=all --org acme --team build --scope 'mcp:*'\n" +
			"  headgate explain read file:///etc/hosts --as ci -o json\n" +
			"  headgate explain invoke llama-70b max_tokens=500 stream=true --as ci",
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if q.Method = explained[args[0]]; q.Method == "" || len(args) < 2 {
				return usage("explain takes call, prompt, read or invoke, and a name: headgate explain call NAME")
			}
			q.Name = args[1]
			if q.Arguments, err = a.arguments(args[2:], verbatim, cmd.Flags().Changed("json")); err != nil {
				return err
			}
			if q.Headers, err = headersOf(headers); err != nil {
				return err
			}
			return a.explain(cmd.Context(), &to, q)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&q.As, "as", "", "the id of the API key that calls")
	flags.StringVar(&q.Org, "org", "", "the organisation of who calls")
	flags.StringVar(&q.Team, "team", "", "the team of who calls")
	flags.StringVar(&q.User, "user", "", "the user who calls")
	flags.StringSliceVar(&q.Scopes, "scope", nil, "a scope of who calls; may be given more than once")
	flags.StringVar(&q.Address, "address", "", "the IP address of the client; a loopback one if it is left out")
	flags.StringArrayVar(&headers, "header", nil, "a header of the request, NAME:VALUE, for routing rules; may be given more than once")
	flags.StringVar(&q.Endpoint, "endpoint", config.DefaultEndpoint, "the path that is called")
	flags.StringVar(&verbatim, "json", "", "the arguments as one JSON object")
	to.register(cmd, a)
	a.outputFlag(cmd)
	return cmd
}

// headersOf reads NAME:VALUE.
func headersOf(texts []string) (map[string]string, error) {
	out := make(map[string]string, len(texts))
	for _, text := range texts {
		name, value, ok := strings.Cut(text, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, usage("--header %s is not NAME:VALUE", text)
		}
		out[name] = strings.TrimSpace(value)
	}
	return out, nil
}

func (a *app) explain(ctx context.Context, to *operators, q admin.Question) error {
	e, err := to.explain(ctx, q)
	if err != nil {
		return err
	}
	if a.output == asJSON {
		err = a.printJSON(e)
	} else {
		err = a.printExplanation(e)
	}
	if err != nil || e.Outcome == "passes" {
		return err
	}
	return &failure{exit: exitRefused, Code: e.Outcome, Message: "the call would not pass: " + firstRefusal(e)}
}

func (a *app) printExplanation(e *admin.Explanation) error {
	rows := make([][]string, 0, len(e.Steps))
	for _, s := range e.Steps {
		verdict := "passes"
		if !s.Passes {
			verdict = "refuses"
		}
		rows = append(rows, []string{s.Stage, verdict, s.Reason})
	}
	return a.printTable([]string{"STAGE", "VERDICT", "REASON"}, rows)
}

func firstRefusal(e *admin.Explanation) string {
	i := slices.IndexFunc(e.Steps, func(s admin.Step) bool { return !s.Passes })
	if i < 0 {
		return e.Outcome
	}
	return e.Steps[i].Reason
}

// explain asks what would become of a call.
func (o *operators) explain(ctx context.Context, q admin.Question) (*admin.Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	var e struct {
		admin.Explanation
		Error string `json:"error"`
	}
	status, err := o.send(ctx, http.MethodPost, "/explain", q, &e)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, usage("the gateway at %s cannot explain this: %s", o.address, rpc.Excerpt(firstOr(e.Error, http.StatusText(status))))
	}
	return &e.Explanation, nil
}

func firstOr(text, otherwise string) string {
	if text != "" {
		return text
	}
	return otherwise
}
