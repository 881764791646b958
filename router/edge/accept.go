package edge

import (
	"mime"
	"net/http"
	"strings"

	"github.com/headgate/headgate/rpc"
)

const (
	jsonType   = "application/json"
	streamType = "text/event-stream"
	linesType  = "application/x-ndjson"
)

// accepts says which forms of an answer a client takes, and whether it named the
// stream before JSON. Between equal weights the server may choose; a client that
// went out of its way to name streams first gets them.
type accepts struct{ json, stream, streamFirst bool }

// parseAccept reads the Accept header (RFC 9110 §12.5.1). A client that sends none
// takes everything; of weights, only the one that means "not acceptable" counts.
func parseAccept(values []string) accepts {
	if len(values) == 0 {
		return accepts{json: true, stream: true}
	}
	var out accepts
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			out.add(part)
		}
	}
	return out
}

func (a *accepts) add(part string) {
	switch mediaRange(part) {
	case "*/*":
		a.json, a.stream = true, true
	case jsonType, "application/*":
		a.json = true
	case streamType, "text/*":
		a.stream, a.streamFirst = true, !a.json
	}
}

// mediaRange returns the media range of an element of an Accept header, empty where its weight refuses it.
func mediaRange(part string) string {
	name, params, _ := strings.Cut(part, ";")
	if isRefused(params) {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(name))
}

// prefersEvents reports whether a client takes streams as events rather than as lines: of all that it takes it lists them
// first.
func prefersEvents(values []string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if kind := mediaRange(part); kind != "" {
				return kind == streamType || kind == "text/*"
			}
		}
	}
	return false
}

// isRefused reports a weight of zero, in any of its spellings.
func isRefused(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			return strings.Trim(strings.TrimSpace(value), "0.") == ""
		}
	}
	return false
}

// checkMedia refuses requests that are not plain JSON. A cross-site page can send
// other types without asking first, so this is a defence too (Fetch, CORS-safelisted
// request-header).
func checkMedia(h http.Header) error {
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return rpc.Errorf(rpc.UnsupportedMedia, "content coding %s is not accepted", rpc.Excerpt(coding))
	}
	declared := h.Get("Content-Type")
	if declared == jsonType {
		return nil
	}
	media, params, err := mime.ParseMediaType(declared)
	if err != nil || media != jsonType {
		return rpc.Errorf(rpc.UnsupportedMedia, "content type must be %s, not %s", jsonType, rpc.Excerpt(declared))
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return rpc.Errorf(rpc.UnsupportedMedia, "charset must be utf-8, not %s", rpc.Excerpt(charset))
	}
	return nil
}
