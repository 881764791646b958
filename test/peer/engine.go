package peer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/headgate/headgate/test/peer/gguf"
)

// The models of the real engine. Both say the same nonsense; the slow one takes twenty times as long for it, so that there is
// time to cancel, and to wait for a slot.
const (
	TinyModel = "tiny"
	SlowModel = "slow"
)

// EngineSlots is how many requests for one model the real engine serves at the same time; others wait.
const EngineSlots = 2

// engineModels is how many blocks the models have.
var engineModels = map[string]int{TinyModel: 2, SlowModel: 40}

// ServeEngine starts Ollama with its random models on a free port of 127.0.0.1, with files in home, a folder of the caller's. Its URL
// is the root of its own API; OpenAI's is below /v1. The rest is as for Serve.
func (s *Set) ServeEngine(ctx context.Context, home string) (*Process, error) {
	ollama := filepath.Join(s.dir, string(Engine), "ollama")
	var env []string
	p, err := Launch(ctx, func(addr string) Launched {
		env = []string{
			"OLLAMA_HOST=" + addr, "HOME=" + home, "OLLAMA_MODELS=" + filepath.Join(home, "models"),
			"OLLAMA_NUM_PARALLEL=" + strconv.Itoa(EngineSlots), "OLLAMA_MAX_LOADED_MODELS=" + strconv.Itoa(len(engineModels)), "OLLAMA_MAX_QUEUE=64",
		}
		return Launched{Argv: []string{ollama, "serve"}, Env: env, URL: "http://" + addr}
	})
	if err != nil {
		return nil, err
	}
	for name, blocks := range engineModels {
		if err := createModel(ctx, ollama, home, env, name, blocks); err != nil {
			p.Stop()
			return nil, err
		}
	}
	return p, nil
}

func createModel(ctx context.Context, ollama, home string, env []string, name string, blocks int) error {
	weights := filepath.Join(home, name+".gguf")
	f, err := os.Create(weights)
	if err != nil {
		return err
	}
	if err := errors.Join(gguf.Write(f, blocks), f.Close()); err != nil {
		return err
	}
	recipe := filepath.Join(home, name+".Modelfile")
	text := fmt.Sprintf("FROM %s\nTEMPLATE \"{{ .Prompt }}\"\nPARAMETER num_ctx %d\nPARAMETER num_thread 1\n", weights, gguf.Context)
	if err := os.WriteFile(recipe, []byte(text), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, ollama, "create", name, "-f", recipe)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("create the model %q: %w\n%s", name, err, out)
	}
	return nil
}

// ServeEngine starts Ollama with its random models and stops it when the test ends.
func ServeEngine(t testing.TB) *Process {
	t.Helper()
	p, err := Installed(t).ServeEngine(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// Kill ends the program and everything it started at once, as a crash does. The caller must Stop it all the same.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended
	<-p.done
}
