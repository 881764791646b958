package demo

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
)

// twoNumbers is the schema of tools that take a and b.
var twoNumbers = json.RawMessage(`{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},` +
	`"required":["a","b"],"additionalProperties":false}`)

// arithmetic returns the tools of the server demo.
func arithmetic() []*tool {
	return []*tool{
		{
			Name: "add", Title: "Add", Description: "Adds two numbers.", Input: twoNumbers, Annotations: annotations{ReadOnly: true},
			run: func(_ context.Context, c *call) (outcome, error) {
				a, b, err := operands(c)
				return number(a + b), err
			},
		},
		{
			Name: "divide", Title: "Divide", Description: "Divides a by b. Dividing by zero is an error of the tool.",
			Input: twoNumbers, Annotations: annotations{ReadOnly: true}, run: divide,
		},
		{
			Name: "echo", Title: "Echo", Description: "Says what it was told.", Annotations: annotations{ReadOnly: true}, run: echo,
			Input: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"}},"required":["text"],"additionalProperties":false}`),
		},
	}
}

func operands(c *call) (a, b float64, err error) {
	var in struct {
		A *float64 `json:"a"`
		B *float64 `json:"b"`
	}
	if err := c.bind(&in); err != nil {
		return 0, 0, err
	}
	if in.A == nil || in.B == nil {
		return 0, 0, errors.New("a and b are needed")
	}
	return *in.A, *in.B, nil
}

func number(n float64) outcome { return outcome{text: strconv.FormatFloat(n, 'f', -1, 64)} }

func divide(_ context.Context, c *call) (outcome, error) {
	a, b, err := operands(c)
	if err != nil {
		return outcome{}, err
	}
	if b == 0 {
		return outcome{}, errors.New("cannot divide by zero")
	}
	return number(a / b), nil
}

func echo(_ context.Context, c *call) (outcome, error) {
	var in struct {
		Text *string `json:"text"`
	}
	if err := c.bind(&in); err != nil {
		return outcome{}, err
	}
	if in.Text == nil {
		return outcome{}, errors.New("text is needed")
	}
	return outcome{text: *in.Text}, nil
}
