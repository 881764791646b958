package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// maxPages bounds a list that would never end.
const maxPages = 1000

// maxDescription is how many characters of a description a table shows.
const maxDescription = 72

func (a *app) toolsCommand() *cobra.Command {
	var to target
	var owner string
	cmd := &cobra.Command{
		Use: "tools", Short: "List the tools of a running gateway", Args: noArgs,
		Long: "List the tools that a running gateway shows, under the names that call takes. Arguments in brackets may be left out.\n" +
			"-o json prints the tools as the gateway lists them.",
		Example: "  headgate tools\n  headgate tools --upstream demo\n  headgate tools --url http://127.0.0.1:8970/mcp/demo -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			return a.listTools(ctx, to, owner)
		},
	}
	to.register(cmd, a)
	cmd.Flags().StringVar(&owner, "upstream", "", "only the tools of this upstream")
	a.outputFlag(cmd)
	return cmd
}

func (a *app) listTools(ctx context.Context, to target, owner string) error {
	r, err := dial(to)
	if err != nil {
		return err
	}
	defer r.close(ctx)
	tools, err := r.tools(ctx)
	if err != nil {
		return err
	}
	if owner != "" {
		if tools, err = ownedBy(tools, owner, to.url); err != nil {
			return err
		}
	}
	if a.output == asJSON {
		return a.printJSON(map[string][]json.RawMessage{"tools": texts(tools)})
	}
	rows := make([][]string, 0, len(tools))
	for _, t := range tools {
		rows = append(rows, []string{t.name, t.arguments(), shorten(firstLine(t.description), maxDescription)})
	}
	return a.printTable([]string{"NAME", "ARGUMENTS", "DESCRIPTION"}, rows)
}

// listed is one tool of a list.
type listed struct {
	name, description string
	schema            json.RawMessage // of the arguments; nil if there is none
	text              json.RawMessage // the whole entry
}

// tools lists all pages.
func (r *remote) tools(ctx context.Context) ([]listed, error) {
	var all []listed
	var cursor json.RawMessage
	for range maxPages {
		request := rpc.NewRequest(rpc.NumberID(1), mcp.ToolsList, nil)
		if cursor != nil {
			request.Set("cursor", cursor)
		}
		response, err := r.ask(ctx, request.Clone(), rpc.Target{}, func(*rpc.Message) {})
		if err != nil {
			return nil, err
		}
		if response.Err != nil {
			return nil, refusal(response.Err)
		}
		page, err := readPage(response)
		if err != nil {
			return nil, r.failure(rpc.Errorf(rpc.UpstreamFailed, "answered a list that is none: %v", err))
		}
		all = append(all, page...)
		// Presence is what counts: an empty string is a cursor too (MCP 2026-07-28, Pagination).
		next, ok := response.Get("nextCursor")
		if !ok || next[0] != '"' || string(next) == string(cursor) {
			break
		}
		cursor = next
	}
	return all, nil
}

func readPage(response *rpc.Message) ([]listed, error) {
	text, ok := response.Get("tools")
	if !ok {
		return nil, fmt.Errorf("it has no tools")
	}
	entries, err := rpc.Elements(text)
	if err != nil {
		return nil, err
	}
	page := make([]listed, 0, len(entries))
	for _, entry := range entries {
		o, err := rpc.ReadObject(entry)
		if err != nil {
			return nil, err
		}
		t := listed{text: entry}
		t.name, _ = o.Text("name")
		t.description, _ = o.Text("description")
		if schema, ok := o.Get("inputSchema"); ok && schema[0] == '{' {
			t.schema = schema
		}
		page = append(page, t)
	}
	return page, nil
}

// arguments returns the names of the arguments, those that may be left out in brackets.
func (t listed) arguments() string {
	var schema struct {
		Properties map[string]json.RawMessage `json:"properties"`
		Required   []string                   `json:"required"`
	}
	if t.schema == nil || json.Unmarshal(t.schema, &schema) != nil {
		return ""
	}
	words := slices.Clone(schema.Required)
	var optional []string
	for name := range schema.Properties {
		if !slices.Contains(schema.Required, name) {
			optional = append(optional, "["+name+"]")
		}
	}
	slices.Sort(optional)
	return strings.Join(append(words, optional...), " ")
}

// ownedBy returns the tools whose names say that they are an upstream's.
func ownedBy(tools []listed, upstream, url string) ([]listed, error) {
	var owners []string
	var out []listed
	for _, t := range tools {
		owner, _, ok := strings.Cut(t.name, "__")
		if ok && !slices.Contains(owners, owner) {
			owners = append(owners, owner)
		}
		if ok && owner == upstream {
			out = append(out, t)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	f := usage("no tool is called %s__…", upstream)
	f.Hint = fmt.Sprintf("if this endpoint shows names without prefix, use --url %s/%s", strings.TrimRight(url, "/"), upstream)
	if len(owners) > 0 {
		f.Hint = "upstreams with tools here: " + strings.Join(owners, ", ")
	}
	return nil, f
}

func texts(tools []listed) []json.RawMessage {
	out := make([]json.RawMessage, 0, len(tools))
	for _, t := range tools {
		out = append(out, t.text)
	}
	return out
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
