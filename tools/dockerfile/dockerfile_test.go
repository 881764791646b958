package dockerfile_test

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/opencontainers/go-digest"
)

const file = "../../Dockerfile"

// offline answers for base images, so that linting asks no registry.
type offline struct{}

func (offline) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	return ref, "", []byte(`{"os":"linux","architecture":"amd64","config":{"Env":["PATH=/usr/local/go/bin:/usr/bin:/bin"]}}`), nil
}

// lint returns what BuildKit warns of, or the error it would stop with.
func lint(t *testing.T, source []byte) []string {
	t.Helper()
	sources := llb.NewSourceMap(nil, "Dockerfile", "Dockerfile", source)
	sources.Definition = &llb.Definition{}
	results, err := dockerfile2llb.DockerfileLint(t.Context(), source, dockerfile2llb.ConvertOpt{
		SourceMap:    sources,
		MetaResolver: offline{},
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	if results.Error != nil {
		found = append(found, results.Error.Message)
	}
	for _, w := range results.Warnings {
		found = append(found, w.RuleName+": "+w.Detail)
	}
	return found
}

func TestDockerfileIsClean(t *testing.T) {
	t.Parallel()
	for _, warning := range lint(t, read(t)) {
		t.Error(warning)
	}
}

// TestLintFindsViolations keeps the lint from passing everything.
func TestLintFindsViolations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ source, want string }{
		"shell form":          {"FROM scratch\nCMD serve\n", "JSONArgsRecommended"},
		"stage case":          {"FROM scratch AS Build\n", "StageNameCasing"},
		"undefined variable":  {"FROM scratch\nCOPY $nowhere /\n", "UndefinedVar"},
		"unknown instruction": {"FROM scratch\nRUNN x\n", "unknown instruction"},
		"unknown stage":       {"FROM scratch\nCOPY --from=1 / /\n", "invalid stage index"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := lint(t, []byte(tt.source))
			if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, tt.want) }) {
				t.Errorf("found %q, want %s", found, tt.want)
			}
		})
	}
}

// TestImage holds the last stage to its promises: nothing but the binary, no root, a health check that needs
// no shell.
func TestImage(t *testing.T) {
	t.Parallel()
	stage := lastStage(t)
	if stage.BaseName != "scratch" {
		t.Errorf("built on %q, want scratch", stage.BaseName)
	}
	var user, health, entry []string
	var copied []string
	for _, command := range stage.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = append(user, c.User)
		case *instructions.HealthCheckCommand:
			health = c.Health.Test
		case *instructions.EntrypointCommand:
			entry = c.CmdLine
		case *instructions.CopyCommand:
			copied = append(copied, c.DestPath)
		case *instructions.RunCommand:
			t.Error("RUN in a stage without a shell")
		}
	}
	for what, got := range map[string]struct{ have, want []string }{
		"USER":        {user, []string{"65532:65532"}},
		"HEALTHCHECK": {health, []string{"CMD", "/headgate", "healthcheck"}},
		"ENTRYPOINT":  {entry, []string{"/headgate"}},
		"COPY to":     {copied, []string{"/etc/ssl/certs/ca-certificates.crt", "/headgate", "/data"}},
	} {
		if !slices.Equal(got.have, got.want) {
			t.Errorf("%s %q, want %q", what, got.have, got.want)
		}
	}
}

func TestBinaryIsStatic(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"CGO_ENABLED=0", "-trimpath", "./cmd/headgate"} {
		if !bytes.Contains(read(t), []byte(want)) {
			t.Errorf("the build has no %s", want)
		}
	}
}

func lastStage(t *testing.T) instructions.Stage {
	t.Helper()
	tree, err := parser.Parse(bytes.NewReader(read(t)))
	if err != nil {
		t.Fatal(err)
	}
	stages, _, err := instructions.Parse(tree.AST, linter.New(&linter.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	return stages[len(stages)-1]
}

func read(t *testing.T) []byte {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return source
}
