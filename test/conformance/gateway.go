package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/headgate/headgate/test/peer"
)

// Upstream is the server behind the gateway, in the words of the configuration file.
type Upstream struct {
	URL     string
	Command []string
	Era     string // auto, legacy or modern
}

// Gateway starts a gateway in front of an upstream and returns the URL of an endpoint that renames nothing.
// It may keep files in dir.
type Gateway func(ctx context.Context, dir string, u Upstream) (url string, stop func(), err error)

// programs are what a run is made with, beside the foreign programs that are installed. The client comes with the
// module whose packages the end-to-end tests use.
var programs = []string{
	"./cmd/headgate", "./test/conformance/drive", "github.com/modelcontextprotocol/go-sdk/conformance/everything-client",
}

// build builds the programs into a folder.
func build(ctx context.Context, dir string) error {
	root, err := peer.Root()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", dir + string(filepath.Separator)}, programs...)...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return nil
}

// headgate returns a Gateway that runs the program with one upstream called "suite".
func headgate(program string) Gateway {
	return func(ctx context.Context, dir string, u Upstream) (string, func(), error) {
		admin, err := peer.FreeAddress(ctx)
		if err != nil {
			return "", nil, err
		}
		config, err := configure(dir, u)
		if err != nil {
			return "", nil, err
		}
		p, err := peer.Launch(ctx, func(addr string) peer.Launched {
			return peer.Launched{
				Argv: []string{program, "serve", "-c", config, "--listen", addr, "--admin-listen", admin},
				URL:  "http://" + addr + "/mcp/suite",
			}
		})
		if err != nil {
			return "", nil, err
		}
		if err := waitReady(ctx, "http://"+admin+"/readyz"); err != nil {
			p.Stop()
			return "", nil, fmt.Errorf("%w: %s", err, p.Output())
		}
		return p.URL, p.Stop, nil
	}
}

// configure writes a configuration file. JSON is YAML too.
func configure(dir string, u Upstream) (string, error) {
	upstream := map[string]any{"era": u.Era}
	if len(u.Command) > 0 {
		upstream["command"], upstream["args"] = u.Command[0], u.Command[1:]
	} else {
		upstream["url"] = u.URL
	}
	data, err := json.MarshalIndent(map[string]any{
		"version":   1,
		"data_dir":  filepath.Join(dir, "data"),
		"upstreams": map[string]any{"suite": upstream},
	}, "", "  ")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "headgate.yaml")
	return file, os.WriteFile(file, data, 0o600)
}

// waitReady waits until the gateway has reached its upstream.
func waitReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ready(ctx, url) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("headgate is not ready after 30 s")
		case <-tick.C:
		}
	}
}

func ready(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
