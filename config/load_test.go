package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/headgate/headgate/config"
)

// load reads a configuration from text.
func load(t *testing.T, text string) (*config.Config, error) {
	t.Helper()
	return config.Load(writeFile(t, "headgate.yaml", text), environment)
}

// writeFile makes a file in a folder of its own.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExampleLoads(t *testing.T) {
	t.Parallel()
	c, err := config.Load("../headgate.example.yaml", func(name string) (string, bool) { return "t0ken", name == "SEARCH_TOKEN" })
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %v", c.Warnings)
	}
	want, queue := config.Default(), config.Queue{Size: 1024, PerTenant: 100, MaxWait: 30 * time.Second}
	want.DataDir = "../headgate-data"
	want.Upstreams = []config.Upstream{
		{
			Name: "files", Command: "npx", Args: []string{"-y", "@modelcontextprotocol/server-filesystem", "."},
			Env: map[string]string{"LOG_LEVEL": "warn"}, Era: "auto", Timeout: time.Minute, MaxTimeout: time.Hour, Queue: queue,
			Balance: "least-loaded", SlowStart: 10 * time.Second,
		},
		{
			Name: "search", URL: "https://search.example.com/mcp", Transport: "http", DisplayName: "Acme Search",
			Balance: "least-loaded", SlowStart: 10 * time.Second, Era: "auto", Timeout: 45 * time.Second, MaxTimeout: time.Hour,
			Headers: map[string]config.Secret{"Authorization": "Bearer t0ken"},
			Tools:   config.Filter{Allow: []string{"find_*"}, Deny: []string{"find_everything"}},
			Pins:    config.Pins{Mode: "quarantine"}, MaxInFlight: 64, Queue: queue, Retry: &config.Retry{Attempts: 3, Budget: 10},
		},
		{
			Name:     "render",
			Backends: []config.Backend{{URL: "http://10.0.0.11:9000/mcp", Weight: 9}, {URL: "http://10.0.0.12:9000/mcp", Weight: 1}},
			Balance:  "least-loaded", Breaker: &config.Breaker{Failures: 5, OpenFor: 5 * time.Second},
			Health:    &config.Health{Interval: 10 * time.Second, Timeout: 2 * time.Second},
			SlowStart: 10 * time.Second, Transport: "http", Era: "auto", Timeout: time.Minute, MaxTimeout: time.Hour, Queue: queue,
		},
	}
	want.Endpoints = append(want.Endpoints, config.Endpoint{
		Path: "/mcp/dev", Prefix: "always", Upstreams: []string{"files", "search"}, Tools: config.Filter{Deny: []string{"*_delete"}},
	})
	options := []cmp.Option{
		cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateEmpty(),
		cmpopts.IgnoreFields(config.Upstream{}, "Position"), cmpopts.IgnoreFields(config.Backend{}, "Position"), cmpopts.IgnoreFields(config.Endpoint{}, "Position"),
		cmp.Comparer(func(a, b config.Secret) bool { return a.Reveal() == b.Reveal() }),
	}
	if diff := cmp.Diff(want, c, options...); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestExampleShowsTheDefaults removes the upstreams and endpoints of the example: what is left must be what an empty file means.
func TestExampleShowsTheDefaults(t *testing.T) {
	t.Parallel()
	c, err := config.Load("../headgate.example.yaml", environment)
	if err != nil {
		t.Fatal(err)
	}
	c.Upstreams, c.Endpoints, c.Warnings, c.DataDir = nil, config.Default().Endpoints, nil, config.Default().DataDir
	if diff := cmp.Diff(config.Default(), c, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-default +example:\n%s", diff)
	}
}

func TestEveryFieldIsRead(t *testing.T) {
	t.Parallel()
	c, err := config.Load("testdata/load/good_full.yaml", environment)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		Version: 1, Listen: "[::1]:9000", TLS: &config.TLS{Cert: "testdata/load/tls.crt", Key: "/etc/tls.key"},
		AllowedOrigins: []string{"https://app.example.com", "http://localhost:3000"},
		Admin:          config.Admin{Listen: "localhost:9001"}, DataDir: "testdata/load/data",
		Pins:          config.Pins{Mode: "block"},
		LimitRefusals: "json-rpc",
		Bounds:        config.Bounds{Body: config.MiB, Result: 32 * config.MiB, Depth: 32, InFlight: 64, PerSessionInFlight: 8, Connections: 4, SlowReader: 5 * time.Second},
		Jobs: config.Jobs{
			Workers: 16, MaxAttempts: 1, Visibility: 10 * time.Second, ResultTTL: 24 * time.Hour, MaxAge: time.Hour, PerTenant: 10,
			MaxParams: 64 * config.KiB, MaxResult: 512 * config.KiB,
		},
		Overload: config.Overload{Memory: 512 * config.MiB, ShedAt: 80, RefuseAt: 90},
		Priorities: []config.Priority{
			{Who: config.Who{Org: "acme"}, Band: "interactive", Weight: 3},
			{Who: config.Who{Key: "nightly-*"}, Band: "batch", Weight: 1},
			{Band: "default", Weight: 2},
		},
		Sessions: config.Sessions{Idle: 10 * time.Minute, Max: time.Hour, History: config.History{Turns: 7, Bytes: 64 * config.KiB}},
		Telemetry: config.Telemetry{
			Logs:    config.Logs{Level: "debug", Format: "text", Access: "failed", Sample: 100},
			Metrics: config.Metrics{Prometheus: true},
			Traces:  &config.Traces{OTLP: "https://collector.example.com:4318", Headers: map[string]config.Secret{"X-Key": "s3cret"}, Sample: 100},
		},
		Shutdown: config.Shutdown{Grace: 0, Drain: 5 * time.Second},
	}
	ignore := cmpopts.IgnoreFields(config.Config{}, "Upstreams", "Endpoints") // in the golden file
	if diff := cmp.Diff(want, *c, ignore, cmpopts.IgnoreUnexported(config.Config{}), cmpopts.IgnoreFields(config.Priority{}, "Position")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestValuesAreNotLookedAtAgain(t *testing.T) {
	t.Parallel()
	c, err := load(t, "upstreams:\n  a: {command: x, env: {A: \"${TRICKY}\"}, args: [\"${TRICKY}\"]}\n")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := environment("TRICKY")
	if u := c.Upstreams[0]; u.Env["A"] != want || u.Args[0] != want || len(c.Warnings) > 0 {
		t.Errorf("env %q, args %q, warnings %v", u.Env, u.Args, c.Warnings)
	}
}

func TestSecretFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"plain": "s3cret", "newline": "s3cret\n", "crlf": "s3cret\r\n", "dollar": "a${TOKEN}b\n", "nested/deep": "x",
		"headgate.yaml": `
upstreams:
  a:
    url: https://example.com
    headers:
      Plain: file:plain
      Newline: file:newline
      Crlf: "file:./crlf"
      Dollar: file:dollar
      Variable: file:${DIR}/deep
      Absolute: file:${HERE}/plain
      NotOne: "${NOT_A_FILE:-}file:plain"
      FromVariable: ${LOOKS}
  b:
    command: x
    args: ["file:plain"]
    env: {TOKEN: "file:plain"}
  c:
    command: x
    env: {TOKEN: "file:${UNSET}/x"}
`,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(filepath.Join(dir, "headgate.yaml"), func(name string) (string, bool) {
		value, ok := map[string]string{"DIR": "nested", "HERE": dir, "LOOKS": "file:plain"}[name]
		return value, ok
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Plain": "s3cret", "Newline": "s3cret", "Crlf": "s3cret", "Dollar": "a${TOKEN}b", "Variable": "x", "Absolute": "s3cret",
		"NotOne": "file:plain", "FromVariable": "file:plain",
	}
	if diff := cmp.Diff(want, reveal(c.Upstreams[0].Headers)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if b := c.Upstreams[1]; b.Args[0] != "file:plain" || b.Env["TOKEN"] != "s3cret" {
		t.Errorf("args %q, env %q", b.Args, b.Env)
	}
	if !strings.Contains(c.Upstreams[2].Disabled, "UNSET") {
		t.Errorf("disabled %q", c.Upstreams[2].Disabled)
	}
}

// TestProblemsShowNoValues loads files in which everything is wrong around a secret.
func TestProblemsShowNoValues(t *testing.T) {
	t.Parallel()
	env := func(string) (string, bool) { return "canary\x01 \x00", true }
	for _, text := range []string{
		"listen: ${A}",
		"allowed_origins: [\"${A}\"]",
		"tls: {cert: \"${A}\"}",
		"upstreams: {a: {url: \"${A}\"}}",
		"upstreams: {a: {url: \"https://user:canary@host/\"}}",
		"upstreams: {a: {url: \"https://host/%zz?canary\"}}",
		"upstreams: {a: {command: \"${A}\", args: [\"${A}\"], env: {B: \"${A}\"}}}",
		"upstreams: {a: {url: \"https://x\", era: \"${A}\", transport: \"${A}\", timeout: \"${A}\", headers: {B: \"${A}\"}}}",
		"bounds: {body: \"${A}\"}",
	} {
		_, err := config.Load(writeFile(t, "headgate.yaml", text), env)
		if err == nil {
			t.Errorf("%s is accepted", text)
			continue
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the value is shown: %v", text, err)
		}
	}
}

func TestOneProblemDoesNotHideAnother(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("upstreams:\n")
	for i := range 50 {
		fmt.Fprintf(&text, "  u%d: {comand: x, url: nowhere}\n", i)
	}
	_, err := load(t, text.String())
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) != 100 {
		t.Fatalf("%d problems", len(problems))
	}
	for i, p := range problems {
		if p.Line != i/2+2 {
			t.Errorf("problem %d is on line %d", i, p.Line)
		}
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(string, func(string) (string, bool)) (*config.Config, error){
		"Load": config.Load, "LoadClient": config.LoadClient, "Import": config.Import,
	} {
		_, err := read(filepath.Join(t.TempDir(), "nowhere.yaml"), environment)
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "nowhere.yaml") {
			t.Errorf("%s: %v", name, err)
		}
		_, err = read(t.TempDir(), environment)
		if err == nil {
			t.Errorf("%s reads a folder", name)
		}
		_, err = read(writeFile(t, "large", strings.Repeat("#", 1<<20+1)), environment)
		if err == nil || !strings.Contains(err.Error(), "is larger than 1MiB") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostileFiles are refused quickly and without exhausting the stack or the memory.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	bomb := "upstreams:\n  x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("  x%d: &x%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d, ", i-1), 10), ", "))
	}
	const million = 1 << 20
	tests := map[string]string{
		"lists":           strings.Repeat("[", million),
		"closed lists":    strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000),
		"mappings":        strings.Repeat("{a: ", million/4),
		"json mappings":   strings.Repeat(`{"a":`, million/5),
		"block lists":     strings.Repeat("- ", 30_000),
		"complex keys":    strings.Repeat("? ", 30_000),
		"anchors":         strings.Repeat("&a ", 30_000),
		"tags":            strings.Repeat("!a ", 30_000),
		"many keys":       strings.Repeat("a: 1\n", million/5),
		"same keys":       strings.Repeat("a: 1\n", 10_000),
		"documents":       strings.Repeat("--- a\n", 10_000),
		"alias bomb":      bomb,
		"long key":        strings.Repeat("k", 300) + ": {a: 1}",
		"deep defaults":   `listen: "` + strings.Repeat("${A:-", 100_000) + `"`,
		"open quotes":     strings.Repeat("\"\n", 10_000),
		"indented blocks": indented(1000),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, file := range []string{"headgate.yaml", "headgate.json"} {
				_, err := config.Load(writeFile(t, file, text), environment)
				if _, ok := errors.AsType[config.Problems](err); !ok {
					t.Errorf("%s: %v", file, err)
				}
			}
			if _, err := config.LoadClient(writeFile(t, "mcp.json", text), environment); err == nil {
				t.Error("LoadClient accepts it")
			}
		})
	}
}

// indented returns mappings inside each other.
func indented(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestMerge(t *testing.T) {
	t.Parallel()
	own, err := load(t, "upstreams: {a: {command: x}}\nendpoints: {/mcp/dev: {upstreams: [a]}}\n")
	if err != nil {
		t.Fatal(err)
	}
	client, err := config.LoadClient(writeFile(t, "mcp.json", `{"mcpServers": {"b": {"command": "$X"}, "c": {"url": "https://example.com"}}}`), environment)
	if err != nil {
		t.Fatal(err)
	}
	if err := own.Merge(client); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range own.Upstreams {
		names = append(names, u.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(own.Warnings) != 1 || own.DataDir == "" {
		t.Errorf("warnings %v, data %q", own.Warnings, own.DataDir)
	}

	clash, err := config.LoadClient(writeFile(t, "mcp.json", `{"mcpServers": {"dev": {"command": "x"}, "b": {"command": "x"}, "d": {"command": "x"}}}`), environment)
	if err != nil {
		t.Fatal(err)
	}
	var problems config.Problems
	if err := own.Merge(clash); !errors.As(err, &problems) || len(problems) != 2 || len(own.Upstreams) != 3 {
		t.Fatalf("%v, %d upstreams", err, len(own.Upstreams))
	}
	for i, want := range []string{`upstream "dev" needs the path of an endpoint of another file`, `upstream "b" stands in two files`} {
		if problems[i].Message != want {
			t.Errorf("problem %d: %v", i, problems[i])
		}
	}
}

func TestCheckExposure(t *testing.T) {
	t.Parallel()
	for address, safe := range map[string]bool{
		"127.0.0.1:8970": true, "127.1.2.3:1": true, "[::1]:8970": true, "localhost:0": true, "[::ffff:127.0.0.1]:1": true,
		"0.0.0.0:8970": false, ":8970": false, "[::]:8970": false, "192.168.1.5:80": false, "10.0.0.1:1": false, "example.com:80": false,
		"localhost.example.com:80": false, "[fe80::1%eth0]:80": false, "": false, "nonsense": false, "128.0.0.1:1": false, "0:80": false, "2130706433:80": false,
	} {
		c := config.Default()
		c.Listen = address
		if err := c.CheckExposure(); (err == nil) != safe {
			t.Errorf("listen %q: %v", address, err)
		}
		c = config.Default()
		c.Admin.Listen = address
		if err := c.CheckExposure(); (err == nil) != safe {
			t.Errorf("admin.listen %q: %v", address, err)
		}
		c.Admin.Token = "0123456789abcdef"
		if err := c.CheckExposure(); err != nil {
			t.Errorf("admin.listen %q with a token: %v", address, err)
		}
	}
}

func TestCheckExposureNamesTheLineUnlessAFlagChangedIt(t *testing.T) {
	t.Parallel()
	c, err := load(t, "version: 1\nlisten: 0.0.0.0:80\nadmin: {listen: \":81\"}\n")
	if err != nil {
		t.Fatal(err)
	}
	lines := func() (lines []int) {
		var problems config.Problems
		errors.As(c.CheckExposure(), &problems)
		for _, p := range problems {
			lines = append(lines, p.Line)
		}
		return lines
	}
	if diff := cmp.Diff([]int{2, 3}, lines()); diff != "" {
		t.Error(diff)
	}
	c.Listen, c.Admin.Listen = "0.0.0.0:90", "127.0.0.1:91"
	if diff := cmp.Diff([]int{0}, lines()); diff != "" {
		t.Error(diff)
	}
}

func TestProblemText(t *testing.T) {
	t.Parallel()
	at := config.Position{File: "a.yaml", Line: 3, Column: 4}
	for want, problem := range map[string]config.Problem{
		"it is wrong\n  at a.yaml:3:4 listen\n  fix: do this": {Position: at, Field: "listen", Message: "it is wrong", Hint: "do this"},
		"it is wrong\n  at a.yaml:3:4":                        {Position: at, Message: "it is wrong"},
		"it is wrong\n  at listen":                            {Field: "listen", Message: "it is wrong"},
		"it is wrong\n  at a.yaml":                            {Position: config.Position{File: "a.yaml"}, Message: "it is wrong"},
		"it is wrong":                                         {Message: "it is wrong"},
	} {
		if got := problem.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got := fmt.Sprint(problem); got != want {
			t.Errorf("printed as %q, want %q", got, want)
		}
	}
}
