package mcpserver

import (
	"bytes"
	"regexp"
	"strconv"
)

// Where servers write the id of a response: first, beside the version, or last. Both
// patterns can only match members of the message itself.
var (
	idFirst = regexp.MustCompile(`^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*"?([0-9]{1,19})"?\s*,`)
	idLast  = regexp.MustCompile(`"id"\s*:\s*"?([0-9]{1,19})"?\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`)
)

// blamed finds the call that a line answers which cannot be read as a message,
// because it is damaged or cut. Without it the call would have to time out.
func blamed(line []byte) (uint64, bool) {
	const edge = 256
	found := idFirst.FindSubmatch(line[:min(len(line), edge)])
	if found == nil {
		found = idLast.FindSubmatch(line[max(0, len(line)-edge):])
	}
	if found == nil || bytes.Contains(line[:min(len(line), edge)], []byte(`"method"`)) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(found[1]), 10, 64)
	return n, err == nil
}
