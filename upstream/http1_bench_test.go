package upstream_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/headgate/headgate/upstream"
)

// BenchmarkCall compares a call through the client with the same through a tuned http.Transport, to the same server: a request of some size is
// echoed, as one JSON body or as an event stream whose end is sent apart from its last event.
func BenchmarkCall(b *testing.B) {
	for _, secure := range []bool{false, true} {
		for _, how := range []string{"json", "sse"} {
			srv := httptest.NewUnstartedServer(echo(how == "sse"))
			scheme := "http"
			if secure {
				scheme = "https"
				srv.StartTLS()
			} else {
				srv.Start()
			}
			b.Cleanup(srv.Close)
			for _, size := range []int{256, 64 << 10} {
				body := bytes.Repeat([]byte{'x'}, size)
				name := fmt.Sprintf("%s/%s/%d", scheme, how, size)
				b.Run(name+"/client", func(b *testing.B) { benchClient(b, srv, body) })
				b.Run(name+"/transport", func(b *testing.B) { benchTransport(b, srv, body) })
			}
		}
	}
}

func echo(stream bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			panic(http.ErrAbortHandler)
		}
		if !stream {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.Write(body)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %s\n\n", body)
		w.(http.Flusher).Flush()
	})
}

func clientTLS(srv *httptest.Server) *tls.Config {
	if srv.TLS == nil {
		return nil
	}
	return srv.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
}

func benchClient(b *testing.B, srv *httptest.Server, body []byte) {
	b.Helper()
	c := upstream.NewClient(upstream.ClientConfig{TLS: clientTLS(srv)})
	defer c.CloseIdle()
	e := endpoint(b, srv.URL+"/mcp", upstream.Field{Name: "Accept", Value: "application/json, text/event-stream"}, upstream.Field{Name: "Content-Type", Value: "application/json"})
	req := &upstream.Request{Method: "POST", Endpoint: e, Body: body}
	b.ReportAllocs()
	b.SetParallelism(8) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 0, 2*len(body))
		for pb.Next() {
			resp, err := c.Do(b.Context(), req)
			if err != nil {
				b.Error(err)
				return
			}
			if resp.Header.Get("Content-Type") == "text/event-stream" {
				if buf, err = readEvent(resp, buf[:0], len(body)); err == nil || err == io.EOF {
					err = resp.Finish()
				}
			} else {
				buf, err = resp.ReadAll(buf[:0], 1<<20)
			}
			if err != nil || len(buf) < len(body) {
				b.Error(len(buf), err)
				return
			}
		}
	})
}

func benchTransport(b *testing.B, srv *httptest.Server, body []byte) {
	b.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true, TLSClientConfig: clientTLS(srv)}
	defer tr.CloseIdleConnections()
	b.ReportAllocs()
	b.SetParallelism(8) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 0, 2*len(body))
		for pb.Next() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, srv.URL+"/mcp", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Accept", "application/json, text/event-stream")
			req.Header.Set("Content-Type", "application/json")
			resp, err := tr.RoundTrip(req)
			if err != nil {
				b.Error(err)
				return
			}
			if resp.ContentLength < 0 {
				if buf, err = readEvent(resp.Body, buf[:0], len(body)); err == nil {
					_, err = resp.Body.Read(buf[:1]) // it reuses connections only after the end was seen
				}
				if err == io.EOF {
					err = nil
				}
			} else {
				buf = buf[:len(body)]
				_, err = io.ReadFull(resp.Body, buf)
			}
			resp.Body.Close()
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// readEvent reads until the one event of the stream is complete, and not further.
func readEvent(r io.Reader, buf []byte, size int) ([]byte, error) {
	for len(buf) < size+len("data: \n\n") {
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}
