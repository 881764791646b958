package demo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// tool is one tool: what tools/list says of it, and what it does.
type tool struct {
	Name        string          `json:"name"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Input       json.RawMessage `json:"inputSchema"`
	Output      json.RawMessage `json:"outputSchema,omitempty"`
	Annotations annotations     `json:"annotations"`

	// run does the work. Its error is for the model to read and to do better; it becomes a result with isError.
	run func(ctx context.Context, c *call) (outcome, error)
}

// annotations are what a client may assume about a tool. All demo tools only read, and none reaches beyond this process.
type annotations struct {
	ReadOnly  bool `json:"readOnlyHint"`
	OpenWorld bool `json:"openWorldHint"`
}

// call is one use of a tool.
type call struct {
	arguments json.RawMessage // the text of an object, or nil
	// report tells how far the work is. It does nothing when the client did not ask to be told.
	report func(progress, total int, message string) error
}

// outcome is what a tool has to say.
type outcome struct {
	text       string
	structured any // must match the tool's output schema; nil without one
}

// bind reads the arguments into a struct. Its error names what is wrong with them.
func (c *call) bind(into any) error {
	if c.arguments == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(c.arguments))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s must be %s, not %s", cmp.Or(e.Field, "arguments"), expected(e.Type), e.Value)
	}
	if err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	return nil
}

// expected says in JSON's words what a field takes.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Float64:
		return "a number"
	case reflect.Int64:
		return "an integer"
	case reflect.String:
		return "a string"
	default:
		return "an object"
	}
}

// result is a CallToolResult of either era; legacy results have no resultType.
type result struct {
	Type       string    `json:"resultType,omitempty"`
	Content    []content `json:"content"`
	Structured any       `json:"structuredContent,omitempty"`
	IsError    bool      `json:"isError,omitempty"`
	Meta       any       `json:"_meta,omitempty"`
}

type content struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// use runs the tool and makes a result of what it says.
func (t *tool) use(ctx context.Context, c *call) result {
	out, err := t.run(ctx, c)
	if err != nil {
		return result{Content: []content{{"text", err.Error()}}, IsError: true}
	}
	return result{Content: []content{{"text", out.text}}, Structured: out.structured}
}
