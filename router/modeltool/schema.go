package modeltool

import (
	"fmt"

	"github.com/headgate/headgate/rpc"
)

// Schemas of what a tool takes and gives. That one of prompt and messages is needed is said in words: some clients take no schema
// that has alternatives at the top.
const (
	inputSchema = `{"type":"object","properties":{` +
		`"prompt":{"type":"string","description":"What the model is asked. Give either this or messages."},` +
		`"messages":{"type":"array","description":"A conversation, oldest message first. Give either this or prompt.","items":{"type":"object",` +
		`"properties":{"role":{"type":"string","enum":["system","user","assistant"]},"content":{"type":"string"}},"required":["role","content"]}},` +
		`"max_tokens":{"type":"integer","minimum":1,"description":"How many tokens the answer may have."},` +
		`"temperature":{"type":"number","minimum":0,"description":"How much chance there is in the answer; 0 for none."},` +
		`"stop":{"description":"A text, or several, at which the answer ends.","anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]}}}`
	outputSchema = `{"type":"object","properties":{"model":{"type":"string"},"output":{"description":"What the model said."},` +
		`"finish_reason":{"type":["string","null"],"description":"Why it stopped, such as stop or length."},` +
		`"usage":{"type":["object","null"],"properties":{"input_tokens":{"type":"integer"},"output_tokens":{"type":"integer"}}}}}`
)

// tool writes the entry of a model in tools/list. A model changes nothing, and says something else each time.
func (m Model) tool() []byte {
	about := "Asks the language model " + m.Name + " and returns what it says."
	if m.Context > 0 {
		about += fmt.Sprintf(" Prompt and answer may have %d tokens together.", m.Context)
	}
	out := rpc.AppendString([]byte(`{"name":`), prefix+m.Name)
	out = rpc.AppendString(append(out, `,"title":`...), "Ask "+m.Name)
	out = rpc.AppendString(append(out, `,"description":`...), about)
	return append(out, `,"inputSchema":`+inputSchema+`,"outputSchema":`+outputSchema+
		`,"annotations":{"readOnlyHint":true,"idempotentHint":false,"openWorldHint":false}}`...)
}
