//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// child is a process that the benchmark has started. It ends when stop is called, and at the latest with the benchmark:
// the kernel kills it then, and those of our own roles end when their standard input does.
type child struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	log     string // file of its standard error
}

// startChild starts a program in a folder that is its own. Its standard error goes to a file there, and so does its
// standard output unless another file is given.
func startChild(ctx context.Context, dir, name string, stdout *os.File, program string, args ...string) (*child, error) {
	log, err := os.CreateTemp(dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	if stdout == nil {
		stdout = log
	}
	command := exec.CommandContext(ctx, program, args...)
	command.Dir = dir
	command.Stdout, command.Stderr = stdout, log
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopPatience
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &child{command: command, stdin: stdin, log: log.Name()}, nil
}

const stopPatience = 5 * time.Second

// stop ends the process: by the end of its standard input and SIGTERM, and by SIGKILL when that does not help.
func (c *child) stop() {
	_ = c.stdin.Close()
	_ = c.command.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopPatience, func() { _ = c.command.Process.Kill() })
	defer kill.Stop()
	_ = c.command.Wait() // how it ended after it was told to is of no interest
}

func (c *child) pid() int { return c.command.Process.Pid }

// lastWords returns the end of what the process wrote to its standard error.
func (c *child) lastWords() string {
	const room = 2000
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-room):]))
}

// ready is the line that a role prints when it serves.
type ready struct {
	// Addresses are where it listens.
	Addresses []string `json:"addresses"`
}

// startRole starts this program in a role and waits until it serves.
func startRole(ctx context.Context, dir, role string, args ...string) (*child, []string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	answers, stdout, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer answers.Close()
	c, err := startChild(ctx, dir, role, stdout, self, append([]string{role}, args...)...)
	_ = stdout.Close() // so that the end of the process is the end of its answers
	if err != nil {
		return nil, nil, err
	}
	line, err := bufio.NewReader(answers).ReadBytes('\n')
	var answer ready
	if err == nil {
		err = json.Unmarshal(line, &answer)
	}
	if err != nil {
		c.stop()
		return nil, nil, fmt.Errorf("%s: %w: %s", role, err, c.lastWords())
	}
	return c, answer.Addresses, nil
}

// announce prints the line that startRole waits for.
func announce(w io.Writer, addresses []string) error {
	return json.NewEncoder(w).Encode(ready{Addresses: addresses})
}

// absolute returns a program's path for a process in another directory.
func absolute(program string) (string, error) {
	path, err := filepath.Abs(program)
	if err == nil {
		_, err = os.Stat(path)
	}
	return path, err
}

var errNotReady = errors.New("it did not get ready")
