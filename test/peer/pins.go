package peer

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Manifests holds the npm manifests, one per folder of the installation: "runtime" for the Node.js versions,
// "tools" for what runs on them, "identity" for an identity provider and "openai" for OpenAI's client, with the scripts that run
// the two. Their versions are exact.
//
//go:embed runtime/package.json tools/package.json identity/package.json identity/provider.mjs openai/package.json openai/ask.mjs
var Manifests embed.FS

// Scripts that run what is a library.
const (
	providerScript = "identity/provider.mjs"
	askScript      = "openai/ask.mjs"
)

// OllamaModule is the last version of Ollama that builds from its Go module: later ones lack headers.
const OllamaModule = "github.com/ollama/ollama@v0.6.5"

// openAIClient is where the program is that asks with OpenAI's client for Go, a module of its own.
const openAIClient = "test/openai"

// Versions of the Go modules that foreign programs are built from.
const (
	goSDKVersion = "v1.8.0"
	mcpGoVersion = "v1.2.1"
)

// GoProgram is a foreign program that is built from a Go module as it was published.
type GoProgram struct {
	Name    string // file name below bin
	Module  string
	Version string
	Package string // folder inside the module
	// Edits replaces literal texts in the package's main.go before it is built. It exists for a program
	// whose listen address is a constant: a test needs a free port on loopback.
	Edits map[string]string
}

// GoPrograms lists the programs that the installation builds.
func GoPrograms() []GoProgram {
	const goSDK = "github.com/modelcontextprotocol/go-sdk"
	return []GoProgram{
		{Name: "go-sdk-suite", Module: goSDK, Version: goSDKVersion, Package: "conformance/everything-server"},
		{Name: "go-sdk-memory", Module: goSDK, Version: goSDKVersion, Package: "examples/server/memory"},
		{Name: "go-sdk-everything", Module: goSDK, Version: goSDKVersion, Package: "examples/server/everything"},
		{
			Name: "mcp-go-everything", Module: "github.com/mark3labs/mcp-go", Version: mcpGoVersion, Package: "examples/everything",
			Edits: map[string]string{`":8080"`: `os.Getenv("LISTEN")`},
		},
	}
}

// DebianProgram is a foreign program that Debian and its derivatives have and no other registry. It is unpacked
// from its package, which needs no privileges, or taken from PATH where there is no apt-get.
type DebianProgram struct {
	Name    string // of the package and, on PATH, of the program
	Path    string // inside the package
	Depends []string
}

// DebianPrograms lists the programs of a part. Their versions are the release's: it is stable.
func DebianPrograms(p Part) []DebianProgram {
	switch p {
	case Debian:
		return []DebianProgram{{Name: "websocketd", Path: "usr/bin/websocketd"}}
	case Proxies:
		return []DebianProgram{
			{Name: "nginx", Path: "usr/sbin/nginx"},
			{Name: "haproxy", Path: "usr/sbin/haproxy", Depends: []string{"liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"}},
		}
	}
	return nil
}

// Part is a folder of the installation.
type Part string

// The parts, in the order in which they are installed.
const (
	Runtime  Part = "runtime"  // Node.js
	Tools    Part = "tools"    // what runs on it
	Identity Part = "identity" // an identity provider
	Bin      Part = "bin"      // what is built from Go
	Debian   Part = "debian"   // what is unpacked from packages
	Proxies  Part = "proxies"  // reverse proxies, unpacked likewise
	Engine   Part = "engine"   // an inference engine, built from Go and C++
	OpenAI   Part = "openai"   // OpenAI's clients, for Node.js and for Go
)

// Parts lists the parts in the order in which they are installed.
func Parts() []Part { return []Part{Runtime, Tools, Identity, Bin, Debian, Proxies, Engine, OpenAI} }

// Stamp identifies what is pinned for a part. One that was installed with another stamp is out of date.
func (p Part) Stamp() (string, error) {
	sum := sha256.New()
	switch p {
	case Runtime, Tools, Identity, OpenAI:
		for _, file := range p.Files() {
			data, err := Manifests.ReadFile(file)
			if err != nil {
				return "", fmt.Errorf("manifest of %s: %w", p, err)
			}
			sum.Write(data)
		}
		if p == OpenAI {
			if err := sumOpenAIClient(sum); err != nil {
				return "", err
			}
		}
	case Engine:
		fmt.Fprintln(sum, OllamaModule)
	case Bin:
		for _, program := range GoPrograms() {
			fmt.Fprintf(sum, "%+v\n", program)
		}
	default:
		for _, program := range DebianPrograms(p) {
			fmt.Fprintf(sum, "%+v\n", program)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Files returns the files of [Manifests] that an npm part begins with.
func (p Part) Files() []string {
	files := []string{string(p) + "/package.json"}
	switch p {
	case Identity:
		files = append(files, providerScript)
	case OpenAI:
		files = append(files, askScript)
	}
	return files
}

// OpenAIClient returns the folder of the program that asks with OpenAI's client for Go.
func OpenAIClient() (string, error) {
	root, err := Root()
	return filepath.Join(root, filepath.FromSlash(openAIClient)), err
}

// sumOpenAIClient adds the source of that program.
func sumOpenAIClient(sum io.Writer) error {
	dir, err := OpenAIClient()
	if err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("OpenAI's client for Go: %w", err)
		}
		_, _ = sum.Write(data) // a hash never fails
	}
	return nil
}

// Installed reports whether the part of an installation is what is pinned now.
func (p Part) Installed(dir string) (bool, error) {
	want, err := p.Stamp()
	if err != nil {
		return false, err
	}
	have, err := os.ReadFile(p.StampFile(dir))
	return err == nil && strings.TrimSpace(string(have)) == want, nil
}

// StampFile is what the installation of the part writes last, with the stamp of what it installed.
func (p Part) StampFile(dir string) string { return filepath.Join(dir, string(p), "stamp") }
