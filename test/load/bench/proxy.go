//go:build linux

package main

import (
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const proxyRole = "proxy"

// serveProxy is the role of the baseline: httputil.ReverseProxy, as well tuned as it gets, with the path /N/mcp for the
// upstream whose address is the argument N. It ends with its standard input.
func serveProxy(args []string, stdin io.Reader, stdout io.Writer) error {
	upstreams := map[string]*url.URL{}
	for i, address := range args {
		upstreams[proxyPath(i)] = &url.URL{Scheme: "http", Host: address, Path: "/mcp"}
	}
	return serveTuned(upstreams, stdin, stdout)
}

// serveModelProxy is the same in front of the engine whose address is the argument.
func serveModelProxy(args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: modelproxy ADDRESS")
	}
	return serveTuned(map[string]*url.URL{enginePath: {Scheme: "http", Host: args[0], Path: enginePath}}, stdin, stdout)
}

// serveTuned serves a proxy to URLs by their paths here.
func serveTuned(upstreams map[string]*url.URL, stdin io.Reader, stdout io.Writer) error {
	const buffer = 16 << 10
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL = upstreams[r.In.URL.Path]
			r.Out.Host = ""
		},
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 512,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
			ReadBufferSize:      buffer,
			WriteBufferSize:     buffer,
		},
		BufferPool:    newBufferPool(buffer),
		FlushInterval: -1,
	}
	address, err := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if upstreams[r.URL.Path] == nil {
			http.NotFound(w, r)
			return
		}
		// Without this, an upstream that answers before it has read a long body costs the answer.
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		proxy.ServeHTTP(w, r)
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

// proxyPath is the path that leads to an upstream.
func proxyPath(upstream int) string { return "/" + strconv.Itoa(upstream) + "/mcp" }

// bufferPool implements httputil.BufferPool.
type bufferPool struct{ pool sync.Pool }

func newBufferPool(size int) *bufferPool {
	return &bufferPool{sync.Pool{New: func() any {
		b := make([]byte, size)
		return &b
	}}}
}

func (p *bufferPool) Get() []byte {
	b, _ := p.pool.Get().(*[]byte)
	return *b
}

func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }
