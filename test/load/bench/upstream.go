//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/headgate/headgate/test/fake"
)

const upstreamRole = "upstream"

// echoTool is the tool that is called; the servers have others so that their lists are no special case.
const echoTool = "echo"

// echoEntry says that its answers may be kept, so that the policies look for them.
const echoEntry = `{"name":"` + echoTool + `","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}`

const upstreamTools = 10

// serveUpstreams is the role of the upstream servers: as many as the argument says, each on an address of its own. A line
// "tools N" on the standard input gives each of them N tools; its end ends the process.
func serveUpstreams(args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: upstream COUNT")
	}
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var servers []*fake.Server
	var addresses []string
	for i := range count {
		server := fake.New(fake.Config{
			Name:           "upstream" + strconv.Itoa(i),
			Tools:          tools(upstreamTools),
			TTL:            time.Hour,
			SkipValidation: true, // the generator checks that what went in comes out
		})
		address, err := serve(server)
		if err != nil {
			return err
		}
		servers, addresses = append(servers, server), append(addresses, address)
	}
	if err := announce(stdout, addresses); err != nil {
		return err
	}
	lines := bufio.NewScanner(stdin)
	for lines.Scan() {
		n, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "tools "))
		if err != nil {
			return fmt.Errorf("command %q: %w", lines.Text(), err)
		}
		for _, server := range servers {
			server.SetTools(tools(n))
		}
	}
	return lines.Err()
}

// tools returns n tools, the first of which is called.
func tools(n int) []fake.Tool {
	list := []fake.Tool{{Name: echoTool, Definition: json.RawMessage(echoEntry), Behaviour: fake.Echo}}
	for i := 1; i < n; i++ {
		list = append(list, fake.Tool{Name: "tool" + strconv.Itoa(i), Behaviour: fake.Echo})
	}
	return list
}

// serve serves a handler on a free port of the loopback address for as long as the process lives.
func serve(handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), nil
}
