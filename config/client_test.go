package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/headgate/headgate/config"
)

func TestClientFileKeepsNothingOnDisk(t *testing.T) {
	t.Parallel()
	c, err := config.LoadClient("testdata/client/bare.json", environment)
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "" || c.Listen != config.Default().Listen || len(c.Endpoints) != 1 || c.Endpoints[0].Path != "/mcp" {
		t.Errorf("%+v", c)
	}
}

func TestInputs(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "mcp.json", `{
		"inputs": [
			{"id": "asked", "description": "What?", "password": true, "default": "unused"},
			{"id": "in-env", "description": "Not asked"},
			{"id": "refused", "default": "fallback"},
			{"id": "nobody knows"},
			{"no": "id"}, 5
		],
		"servers": {"a": {"command": "x", "args": ["${input:asked}", "${input:in-env}", "${input:refused}", "${input:not listed}"]},
		            "b": {"command": "x", "args": ["${input:nobody knows}"]}}}`)
	type question struct {
		ID, Description string
		Password        bool
	}
	var asked []question
	c, err := config.LoadClientWith(file, config.ClientOptions{
		Env: func(name string) (string, bool) { return "from env", name == "HEADGATE_INPUT_IN_ENV" },
		Inputs: func(id, description string, password bool) (string, bool) {
			asked = append(asked, question{id, description, password})
			return "answer", id == "asked" || id == "not listed"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"answer", "from env", "fallback", "answer"}, c.Upstreams[0].Args); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want := []question{{"asked", "What?", true}, {ID: "refused"}, {ID: "not listed"}, {ID: "nobody knows"}}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := c.Upstreams[1].Disabled; !strings.Contains(got, `input "nobody knows" has no value`) {
		t.Errorf("disabled %q", got)
	}
	if got := c.Warnings[0].Hint; got != "export HEADGATE_INPUT_NOBODY_KNOWS=…" {
		t.Errorf("hint %q", got)
	}
}

// TestNoLiteralReaches checks the rule that no server is given a variable as it is written.
func TestNoLiteralReaches(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"${UNSET}", "${env:UNSET}", "${input:unset}", "${", "${}", "${UNSET", "${A:-${UNSET}", "${command:x}", "${config:a.b}", "${A:?x}", "${userHome", "x${UNSET}y",
	} {
		native := writeFile(t, "headgate.yaml", "upstreams: {a: {command: x, args: [\""+value+"\"]}, b: {url: \"https://x\", headers: {A: \""+value+"\"}}}")
		client := writeFile(t, "mcp.json", `{"a": {"command": "x", "args": ["`+value+`"]}, "b": {"url": "https://x", "headers": {"A": "`+value+`"}}, "c": {"command": "x", "env": {"A": "`+value+`"}}}`)
		for _, read := range []func() (*config.Config, error){
			func() (*config.Config, error) { return config.Load(native, environment) },
			func() (*config.Config, error) { return config.LoadClient(client, environment) },
		} {
			c, err := read()
			if err != nil {
				continue
			}
			for _, u := range c.Upstreams {
				if u.Disabled == "" {
					t.Errorf("%s: upstream %q is on, with %q %q %v", value, u.Name, u.Args, u.Env, reveal(u.Headers))
				}
			}
		}
	}
}

func TestWorkspaceFolder(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"project/.vscode", "project/.cursor", "project"} {
		dir := filepath.Join(t.TempDir(), folder)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "mcp.json")
		if err := os.WriteFile(file, []byte(`{"a": {"command": "${workspaceFolder}", "args": ["${workspaceFolderBasename}"], "cwd": "sub"}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.LoadClient(file, environment)
		if err != nil {
			t.Fatal(err)
		}
		u := c.Upstreams[0]
		if filepath.Base(u.Command) != "project" || u.Args[0] != "project" || u.Dir != filepath.Join(dir, "sub") {
			t.Errorf("%s: command %q, args %q, dir %q", folder, u.Command, u.Args, u.Dir)
		}
	}
}

// TestHomeIsNeeded has neither HOME nor USERPROFILE.
func TestHomeIsNeeded(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "mcp.json", `{"a": {"command": "${userHome}/x"}}`)
	c, err := config.LoadClient(file, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if c.Upstreams[0].Disabled == "" {
		t.Errorf("command %q", c.Upstreams[0].Command)
	}
	c, err = config.LoadClient(file, func(name string) (string, bool) { return `C:\Users\x`, name == "USERPROFILE" })
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Upstreams[0].Command; got != `C:\Users\x/x` {
		t.Errorf("command %q", got)
	}
}

func TestTransportNames(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"http": "http", "HTTP": "http", "streamable-http": "http", "streamable_http": "http", "streamableHttp": "http",
		"sse": "sse", "SSE": "sse", "ws": "ws", "websocket": "ws", "stdio": "off", "": "off", "x": "off",
	} {
		c, err := config.LoadClient(writeFile(t, "mcp.json", `{"a": {"type": "`+word+`", "url": "https://example.com"}}`), environment)
		if err != nil {
			t.Fatal(err)
		}
		got := c.Upstreams[0].Transport
		if c.Upstreams[0].Disabled != "" {
			got = "off"
		}
		if got != want {
			t.Errorf("type %q: %s, want %s (%s)", word, got, want, c.Upstreams[0].Disabled)
		}
	}
}

func TestClientTimeouts(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"1000": "1s", "999": "16m39s", "30": "30s", "30000": "30s", "0.5": "500ms", "1.5e3": "1.5s", `"45s"`: "45s",
		"0": "1m0s", "-5": "1m0s", "1e300": "1m0s", `"soon"`: "1m0s", "true": "1m0s", "[]": "1m0s", "1e-9": "1m0s", "86400000": "24h0m0s", "86400001": "1m0s",
	} {
		c, err := config.LoadClient(writeFile(t, "mcp.json", `{"a": {"command": "x", "timeout": `+value+`}}`), environment)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Upstreams[0].Timeout.String(); got != want {
			t.Errorf("timeout %s is %s, want %s", value, got, want)
		}
		if loud := len(c.Warnings) == 1; loud != (value != `"45s"`) {
			t.Errorf("timeout %s: warnings %v", value, c.Warnings)
		}
	}
}
