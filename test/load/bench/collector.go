//go:build linux

package main

import (
	"io"
	"net/http"
)

const collectorRole = "collector"

// serveCollector is the role of what traces are sent to: it takes them and keeps none. It ends with its standard input.
func serveCollector(stdin io.Reader, stdout io.Writer) error {
	address, err := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // who sends too little is measured, not the collector
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	if err != nil {
		return err
	}
	if err := announce(stdout, []string{address}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, stdin)
	return err
}
