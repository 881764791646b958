package mcpserver

import (
	"bytes"
	"regexp"
	"strconv"
)

// Where servers write the id of a response: first, beside the version, or last. The
// patterns can only match members of the message itself.
var (
	responseHead = regexp.MustCompile(`^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"|"id"\s*:\s*"?[0-9]|"(?:result|error)"\s*:\s*\{)`)
	idFirst      = regexp.MustCompile(`^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*"?([0-9]{1,19})"?\s*,`)
	idLast       = regexp.MustCompile(`"id"\s*:\s*"?([0-9]{1,19})"?\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`)
)

// edge is how many bytes of a line are looked at, at either end.
const edge = 256

// looksLikeResponse reports whether a line that cannot be read as a message was meant to be
// a response, and not something that a program prints.
func looksLikeResponse(line []byte, whole bool) bool {
	head := line[:min(len(line), edge)]
	return responseHead.Match(head) && !bytes.Contains(head, []byte(`"method"`)) &&
		(!whole || bytes.Contains(line, []byte(`"jsonrpc"`)))
}

// blamed finds the call that such a line answers, which is damaged or cut. Without it
// the call would have to time out.
func blamed(line []byte) (uint64, bool) {
	found := idFirst.FindSubmatch(line[:min(len(line), edge)])
	if found == nil {
		found = idLast.FindSubmatch(line[max(0, len(line)-edge):])
	}
	if found == nil {
		return 0, false
	}
	n, err := strconv.ParseUint(string(found[1]), 10, 64)
	return n, err == nil
}
