package peer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
)

// maxLine bounds what a program prints as one line.
const maxLine = 1 << 20

// Terminal is a foreign program that one types into and reads from, line by line.
type Terminal struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	said  *tail // its standard error
	once  sync.Once
}

// Wscat connects wscat to a WebSocket: what is typed it sends, each line as a message, and it prints what comes. Lines
// that are typed before it has connected are lost, of which it says nothing. It is killed when ctx ends.
func (s *Set) Wscat(ctx context.Context, home, url string, args ...string) (*Terminal, error) {
	argv := slices.Concat(s.node("22", "wscat/bin/wscat"), []string{"--no-color", "--connect", url}, args)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = drainTimeout
	t := &Terminal{cmd: cmd, said: &tail{}}
	cmd.Stderr = t.said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %q: %w", argv, err)
	}
	t.in, t.lines = in, bufio.NewScanner(out)
	t.lines.Buffer(nil, maxLine)
	return t, nil
}

// Type types a line.
func (t *Terminal) Type(line string) error {
	_, err := io.WriteString(t.in, line+"\n")
	return err
}

// Read waits for the next line.
func (t *Terminal) Read() (string, error) {
	if t.lines.Scan() {
		return t.lines.Text(), nil
	}
	err := t.lines.Err()
	if err == nil {
		err = io.EOF
	}
	return "", fmt.Errorf("%w: %s", err, t.said)
}

// Close closes what is typed into and waits for the end of the program. It may be called more than once.
func (t *Terminal) Close() {
	t.once.Do(func() {
		_ = t.in.Close()
		for t.lines.Scan() { // what was printed last
		}
		_ = t.cmd.Wait() // how it ended is not what a test is about
	})
}
