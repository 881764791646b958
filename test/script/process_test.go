package script_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// running is the key of a script's gateway.
type running struct{}

// process is the gateway that a script runs.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when standard error has ended and the process is gone

	mu   sync.Mutex
	log  strings.Builder
	more chan struct{} // closed, and made anew, with every line
}

// addresses are where a gateway serves.
type addresses struct{ clients, operators string }

// start starts a gateway and waits until it says where it serves. Its standard error is kept and written to a file when it ends.
func (p *process) start(binary string, args []string, dir, log string, environ []string) (addresses, error) {
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir, p.cmd.Env = dir, environ
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return addresses{}, err
	}
	if err := p.cmd.Start(); err != nil {
		return addresses{}, err
	}
	p.log.Reset()
	p.done, p.more = make(chan struct{}), make(chan struct{})
	serving := make(chan addresses, 1)
	go func() {
		defer close(p.done)
		p.read(stderr, serving)
		_ = p.cmd.Wait() // the exit code is in ProcessState
		_ = os.WriteFile(log, []byte(p.said()), 0o600)
	}()
	select {
	case a := <-serving:
		return a, nil
	case <-p.done:
		return addresses{}, fmt.Errorf("it ended: %s", p.cmd.ProcessState)
	}
}

// read keeps what is said and tells when the banner is complete, as text or as a line of JSON.
func (p *process) read(stderr io.Reader, serving chan<- addresses) {
	var a addresses
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.mu.Lock()
		fmt.Fprintln(&p.log, lines.Text())
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
		label, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
		switch label {
		case "clients":
			a.clients = strings.TrimSpace(value)
		case "operators":
			a.operators = strings.TrimSuffix(strings.TrimSpace(value), "/readyz")
		case "try":
			serving <- a
		}
		var record struct{ Msg, URL, Admin string }
		if json.Unmarshal(lines.Bytes(), &record) == nil && record.Msg == "serving" {
			serving <- addresses{record.URL, record.Admin}
		}
	}
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// awaitLog returns when text has been said.
func (p *process) awaitLog(t *testing.T, text string) {
	t.Helper()
	if !p.awaits(func(log string) bool { return strings.Contains(log, text) }) {
		t.Fatalf("%q was not said\n%s", text, p.said())
	}
}

// awaits returns when what has been said is as is wanted, and false if the process has ended without that.
func (p *process) awaits(wanted func(log string) bool) bool {
	for {
		p.mu.Lock()
		found, more := wanted(p.log.String()), p.more
		p.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-more:
		case <-p.done:
			return false
		}
	}
}

// stop sends a signal and waits for the exit code.
func (p *process) stop(signal string) (int, error) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt}
	s, ok := signals[signal]
	if !ok || p.cmd == nil {
		return 0, errors.New("no such signal, or no gateway runs")
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		return 0, err
	}
	<-p.done
	return p.cmd.ProcessState.ExitCode(), nil
}

// kill ends what is left when the script is over.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}
