package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/infer"
)

// maxAnswer bounds one object of an answer, in bytes.
const maxAnswer = 16 << 20

func (a *app) invokeCommand() *cobra.Command {
	var to target
	var stream bool
	cmd := &cobra.Command{
		Use: "invoke MODEL PROMPT [KEY=VALUE...]", Short: "Ask a model through a running gateway", Args: twoArgs,
		Long: "Ask a model through a running gateway. A PROMPT of - is read from standard input. KEY=VALUE are further parameters, such as max_tokens,\n" +
			"temperature, stop, or whatever else the model's server knows; a VALUE that is JSON is taken as JSON.\n\n" +
			"What the model says goes to standard output, with --stream as it comes; -o json prints the whole answer, with --stream each of its parts\n" +
			"on a line.",
		Example: "  headgate invoke default 'Why is the sky blue?'\n" +
			"  headgate invoke llama-70b 'Tell me a story.' --stream max_tokens=500\n" +
			"  headgate invoke small-1b - <question.txt -o json | jq .usage",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			message, err := a.invocation(args, stream)
			if err != nil {
				return err
			}
			return a.invoke(ctx, to, message)
		},
	}
	cmd.Flags().BoolVar(&stream, "stream", false, "show the answer as it comes")
	to.register(cmd, a)
	a.outputFlag(cmd)
	return cmd
}

// twoArgs wants a model and a prompt.
func twoArgs(cmd *cobra.Command, args []string) error {
	if len(args) >= 2 {
		return nil
	}
	f := usage("%s needs the name of a model and a prompt", cmd.CommandPath())
	f.Hint = "for example:\n" + cmd.Example
	return f
}

// invocation returns the message that the arguments of the command stand for.
func (a *app) invocation(args []string, stream bool) ([]byte, error) {
	prompt := args[1]
	if prompt == "-" {
		text, err := io.ReadAll(a.in)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		prompt = string(text)
	}
	params, err := argumentsOf(args[2:])
	if err != nil {
		return nil, err
	}
	o, err := rpc.ReadObject(params)
	if err != nil {
		return nil, usage("%v", err)
	}
	for _, own := range []struct {
		name  string
		value json.RawMessage
	}{{"stream", fmt.Append(nil, stream)}, {"prompt", rpc.AppendString(nil, prompt)}, {"model", rpc.AppendString(nil, args[0])}} {
		if _, twice := o.Get(own.name); twice {
			return nil, usage("%s is given twice", own.name)
		}
		params = withMember(params, own.name, own.value)
	}
	return append(append([]byte(`{"jsonrpc":"2.0","id":1,"method":"invoke","params":`), params...), '}'), nil
}

// withMember puts a member before those of an object.
func withMember(object json.RawMessage, name string, value json.RawMessage) json.RawMessage {
	out := append(rpc.AppendString([]byte{'{'}, name), ':')
	out = append(out, value...)
	if rest := bytes.TrimSpace(object[1:]); rest[0] != '}' {
		out = append(out, ',')
	}
	return append(out, object[1:]...)
}

// inferURL returns the address of the inference dialect at a gateway, whichever of its endpoints is named.
func inferURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", usage("--url %s: it must begin with http:// or https://", text)
	}
	if u.Path == "" || u.Path == "/" || u.Path == "/mcp" || strings.HasPrefix(u.Path, "/mcp/") {
		u.Path = infer.Path
	}
	return u.String(), nil
}

// invoke sends a message and prints what it is answered with.
func (a *app) invoke(ctx context.Context, to target, message []byte) error {
	address, err := inferURL(to.url)
	if err != nil {
		return err
	}
	to.url = address
	ctx, cancel := context.WithTimeout(ctx, to.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(message))
	if err != nil {
		return usage("--url %s: %v", to.url, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/x-ndjson, application/json")
	if to.token != "" {
		request.Header.Set("Authorization", "Bearer "+to.token.Reveal())
	}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return to.unanswered(ctx, err)
	}
	defer response.Body.Close()
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind != "application/json" && kind != "application/x-ndjson" {
		return (&failure{exit: exitUnexpected, Message: fmt.Sprintf("%s answered with %s", address, response.Status)}).answeredWithout(response.StatusCode)
	}
	return a.printAnswer(ctx, to, response.Body)
}

// answeredWithout adds what an HTTP status means where nothing of the dialect came with it.
func (f *failure) answeredWithout(status int) *failure {
	if f = f.answered(status); f.Code == "no_mcp_server" {
		f.Code, f.Hint = "no_gateway", "is this the address of a gateway? Models are at http://HOST:PORT/rpc"
	}
	return f
}

// unanswered says why nothing came back.
func (t target) unanswered(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &failure{exit: exitUnreachable, Code: "timeout", Message: t.url + " did not answer in time", Hint: fmt.Sprintf("--timeout is %s", t.timeout)}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	hint := (&remote{target: t}).startHint()
	return &failure{exit: exitUnreachable, Code: "unreachable", Message: fmt.Sprintf("%s cannot be reached: %v", t.url, errors.Unwrap(err)), Hint: hint}
}

// printAnswer prints the objects of an answer as they come.
func (a *app) printAnswer(ctx context.Context, to target, body io.Reader) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 64<<10), maxAnswer)
	printed := ""
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		part, err := infer.ReadPart(lines.Bytes())
		switch {
		case err != nil:
			return unexpected(fmt.Errorf("%s answered something that is no answer: %w", to.url, err))
		case part.Err != nil:
			a.endLine(printed)
			return invokeRefusal(part.Err)
		case part.Done:
			a.endLine(printed)
			return nil
		}
		if printed, err = a.printPart(part, printed); err != nil {
			return err
		}
	}
	a.endLine(printed)
	if err := lines.Err(); err != nil {
		return to.unanswered(ctx, fmt.Errorf("%w", err))
	}
	return nil
}

// printPart prints a part of an answer: text, or under -o json the part as it is. It returns what stands on the last line.
func (a *app) printPart(part infer.Part, printed string) (string, error) {
	text := part.Result
	if part.Chunk != nil {
		text = part.Chunk
	}
	if a.output == asJSON {
		_, err := fmt.Fprintf(a.out, "%s\n", text)
		return "", err
	}
	name := "output"
	if part.Chunk != nil {
		name = "text"
	}
	o, err := rpc.ReadObject(text)
	if err != nil {
		return printed, unexpected(err)
	}
	said, ok := o.Text(name)
	if !ok {
		return printed, nil
	}
	_, err = fmt.Fprint(a.out, a.visible(a.out, said))
	if said == "" {
		said = printed
	}
	return said, err
}

// endLine ends a line that something stands on.
func (a *app) endLine(printed string) {
	if printed != "" && !strings.HasSuffix(printed, "\n") {
		fmt.Fprintln(a.out)
	}
}

// invokeRefusal says in a user's words what an error of the dialect means.
func invokeRefusal(e *rpc.WireError) *failure {
	f := &failure{exit: exitUnexpected, Code: "error", Message: e.Message}
	if data, err := rpc.ReadObject(e.Data); err == nil {
		if reason, ok := data.Text("reason"); ok {
			f.Code = reason
		}
	}
	switch e.Code {
	case infer.ErrorCode(rpc.Unauthenticated):
		f.exit, f.Code, f.Hint = exitAuth, "auth_required", tokenHint
	case infer.ErrorCode(rpc.Forbidden):
		f.exit, f.Hint = exitRefused, "the key needs the scope infer:invoke, with --stream infer:stream too, and rules must let it ask this model"
	case infer.ErrorCode(rpc.QuotaExhausted):
		f.exit, f.Hint = exitRefused, invocation()+" status, on the gateway's machine, shows the limits"
	case infer.ErrorCode(rpc.RateLimited), infer.ErrorCode(rpc.TooManyInFlight), infer.ErrorCode(rpc.Overloaded), infer.ErrorCode(rpc.StateUnavailable):
		f.exit, f.Hint = exitRefused, "try again later"
	case infer.ErrorCode(rpc.UpstreamDown), infer.ErrorCode(rpc.UpstreamFailed), infer.ErrorCode(rpc.UpstreamTimeout):
		f.exit, f.Hint = exitUnreachable, invocation()+" status, on the gateway's machine, shows the models and their backends"
	case infer.ErrorCode(rpc.InvalidParams):
		if strings.HasPrefix(e.Message, "there is no model") {
			f.Code, f.Hint = "unknown_model", "models are named in the gateway's configuration"
		}
	}
	return f
}
