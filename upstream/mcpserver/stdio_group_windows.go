package mcpserver

import (
	"os"
	"os/exec"
	"syscall"
)

// isolate keeps console signals that are meant for the gateway from the process.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// reap waits until the command has ended.
func reap(cmd *exec.Cmd) { _ = cmd.Wait() } // how it ended is in the ProcessState

// terminateGroup does nothing: there is no signal that asks a process to end.
func terminateGroup(*os.Process) {}

// killGroup ends the process. What it started goes on.
func killGroup(p *os.Process) { _ = p.Kill() }
