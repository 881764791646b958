//go:build unix && !linux

package mcpserver

import (
	"os/exec"
	"syscall"
)

// isolate puts the command in a process group of its own.
func isolate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// reap waits until the command has ended and kills what is left of its group.
func reap(cmd *exec.Cmd) {
	_ = cmd.Wait() // how it ended is in the ProcessState
	killGroup(cmd.Process)
}
