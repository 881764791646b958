package fake

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
)

// output is the answer to one POST: a JSON body, or an event stream from the first event on.
type output struct {
	w       http.ResponseWriter
	sse     bool // answer by event stream even without notifications
	buffers *buffers

	mu      sync.Mutex // a behaviour may notify from goroutines of its own
	started bool
}

// event sends one message as an event and begins the stream if it has not begun.
func (o *output) event(message []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.send(message)
}

// finish sends the answer, as the last event or as the JSON body.
func (o *output) finish(status int, message []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.started || o.sse && status == http.StatusOK {
		_ = o.send(message) // a client that has gone away needs no answer
		return
	}
	header := o.w.Header()
	header["Content-Type"] = []string{"application/json"}
	header["Content-Length"] = []string{strconv.Itoa(len(message))}
	o.w.WriteHeader(status)
	_, _ = o.w.Write(message)
}

// fail sends an error that was found before the method was reached.
func (o *output) fail(id []byte, failure *Error) {
	o.finish(failure.Status, appendError(nil, id, failure))
}

// accept answers a notification.
func (o *output) accept() { o.w.WriteHeader(http.StatusAccepted) }

// abandon ends a POST whose call was cancelled: an event stream without an answer.
func (o *output) abandon() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.started {
		startEvents(o.w)
	}
}

func (o *output) send(message []byte) error {
	if !o.started {
		o.started = true
		startEvents(o.w)
	}
	return writeEvent(o.w, message)
}

// startEvents sends the header of an event stream.
func startEvents(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
}

// writeEvent writes a message as one event and flushes it. Line feeds become lines of data, which a reader joins again; a
// carriage return can only be white space between tokens and becomes a space.
func writeEvent(w http.ResponseWriter, message []byte) error {
	event := make([]byte, 0, len(message)+16)
	event = append(event, "data: "...)
	if bytes.IndexByte(message, '\n') >= 0 || bytes.IndexByte(message, '\r') >= 0 {
		message = bytes.ReplaceAll(message, []byte("\r"), []byte(" "))
		message = bytes.ReplaceAll(message, []byte("\n"), []byte("\ndata: "))
	}
	event = append(append(event, message...), "\n\n"...)
	if _, err := w.Write(event); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}
