package peer

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
)

// Manifests holds the npm manifests, one per folder of the installation: "runtime" for the Node.js versions
// and "tools" for what runs on them. Their versions are exact.
//
//go:embed runtime/package.json tools/package.json
var Manifests embed.FS

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

// Stamp identifies everything that is pinned. An installation made with another stamp is out of date.
func Stamp() (string, error) {
	sum := sha256.New()
	for _, name := range []string{"runtime/package.json", "tools/package.json"} {
		data, err := Manifests.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("manifest %q: %w", name, err)
		}
		sum.Write(data)
	}
	for _, p := range GoPrograms() {
		fmt.Fprintf(sum, "%+v\n", p)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
