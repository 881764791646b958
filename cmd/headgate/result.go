package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/headgate/headgate/rpc"
	"github.com/headgate/headgate/rpc/mcp"
)

// printResult prints what a tool said. The error is that of a tool that failed or that says something else than a result.
func (a *app) printResult(name string, response *rpc.Message) error {
	var err error
	if a.output == asJSON {
		_, err = fmt.Fprintf(a.out, "%s\n", response.Result)
	} else {
		err = a.printContent(response)
	}
	if err != nil {
		return err
	}
	if kind, ok := response.Text("resultType"); ok && kind != "complete" {
		return &failure{
			exit: exitUnexpected, Code: kind, Message: fmt.Sprintf("%s did not finish: its result is of the type %s", name, kind),
			Hint: "this command cannot answer questions; use an MCP client that can",
		}
	}
	if failed, ok := response.Get("isError"); ok && string(failed) == "true" {
		return &failure{exit: exitTool, Code: "tool_error", Message: name + " reported an error"}
	}
	return nil
}

// printContent prints the content one block after the other: text as it is, everything else as JSON. Structured content mostly repeats the
// text, so it is printed only where it stands alone.
func (a *app) printContent(response *rpc.Message) error {
	var blocks []json.RawMessage
	if content, ok := response.Get("content"); ok && content[0] == '[' {
		var err error
		if blocks, err = rpc.Elements(content); err != nil {
			return unexpected(fmt.Errorf("the result cannot be read: %w", err))
		}
	}
	if structured, ok := response.Get("structuredContent"); ok && len(blocks) == 0 {
		blocks = []json.RawMessage{structured}
	}
	for _, block := range blocks {
		text := string(block)
		if said, ok := spoken(block); ok {
			text = strings.TrimSuffix(said, "\n")
		}
		if _, err := fmt.Fprintln(a.out, a.visible(a.out, text)); err != nil {
			return err
		}
	}
	return nil
}

// spoken returns the text of a block that is text.
func spoken(block json.RawMessage) (string, bool) {
	if block[0] != '{' {
		return "", false
	}
	o, err := rpc.ReadObject(block)
	if err != nil {
		return "", false
	}
	if kind, _ := o.Text("type"); kind != "text" {
		return "", false
	}
	return o.Text("text")
}

// hear prints what a server says while it works.
func (a *app) hear(m *rpc.Message) {
	var line string
	switch m.Method {
	case mcp.Progress:
		line = progressLine(m)
	case mcp.LogMessage:
		level, _ := m.Text("level")
		data, _ := m.Get("data")
		line = fmt.Sprintf("%s: %s", level, data)
	default:
		return
	}
	fmt.Fprintln(a.err, a.visible(a.err, line))
}

// progressLine returns what a progress notification says: [2/5] and the message.
func progressLine(m *rpc.Message) string {
	progress, _ := m.Get("progress")
	line := "[" + string(progress)
	if total, ok := m.Get("total"); ok {
		line += "/" + string(total)
	}
	line += "]"
	if message, ok := m.Text("message"); ok {
		line += " " + strings.ReplaceAll(message, "\n", " ")
	}
	return line
}
