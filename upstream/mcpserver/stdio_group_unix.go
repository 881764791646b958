//go:build unix

package mcpserver

import (
	"os"
	"syscall"
)

// terminateGroup asks all processes of p's group to end.
func terminateGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGTERM) }

// killGroup ends all processes of p's group.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
