package generator

import "math/rand/v2"

// payload returns the inside of a JSON string of exactly size bytes: lines of words, with quotes and letters beyond ASCII now
// and then. Different seeds give different texts.
func payload(size int, seed uint64) []byte {
	words := []string{
		"the", "gateway", "carries", "what", "it", "was", "given", "and", "adds", "nothing", "of", "its", "own", "one",
		"call", "at", "a", "time", "to", "server", "that", "answers", "in", "order", "or", "not", "all", "(maybe)", "42,", "so.",
	}
	random := rand.New(rand.NewPCG(seed, 1))
	text := make([]byte, 0, size)
	column := 0
	for {
		word := words[random.IntN(len(words))]
		switch random.IntN(100) {
		case 0:
			word = `\"` + word + `\"`
		case 1:
			word = "café"
		}
		separator := " "
		if column += len(word) + 1; column > 72 {
			separator, column = `\n`, 0
		}
		if len(text)+len(word)+len(separator) > size {
			break
		}
		text = append(append(text, word...), separator...)
	}
	for len(text) < size {
		text = append(text, '.')
	}
	return text
}
