package gguf

import (
	"fmt"
	"strings"
)

// Types of tokens in GGUF.
const (
	normal  = 1
	unknown = 2
	control = 3
	single  = 6 // a byte
)

// special is how many tokens are not text: unknown, beginning and end.
const special = 3

// vocabulary is what the tokenizer knows, each token once.
type vocabulary struct {
	tokens []string
	scores []float32
	types  []int32
}

// words are what the model says. The mark before each is how the tokenizer writes a space.
const words = `the gate stands open and a river of small words runs through it to sea where every boat has its turn nobody waits for
	long who came in time with light hand over stone under cloud past old mill by night hello world one two three four five six seven`

func newVocabulary() vocabulary {
	var v vocabulary
	add := func(kind int32, token string) {
		v.tokens = append(v.tokens, token)
		v.types = append(v.types, kind)
		v.scores = append(v.scores, -float32(len(v.tokens)))
	}
	add(unknown, "<unk>")
	add(control, "<s>")
	add(control, "</s>")
	for i := range 256 {
		add(single, fmt.Sprintf("<0x%02X>", i))
	}
	seen := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		if !seen[word] {
			seen[word] = true
			add(normal, "▁"+word)
		}
	}
	return v
}

// bias says how probable a token is whatever was before: words, and nothing else.
func (v vocabulary) bias(token int) float32 {
	if token < special+256 {
		return -40
	}
	return 0
}
