package mcpserver

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate puts the command in a process group of its own, and lets the kernel kill it
// if the gateway dies without having been able to.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// reap waits until the command has ended and kills what is left of its group. The
// group is killed before the command is reaped: afterwards its number could be
// another group's.
func reap(cmd *exec.Cmd) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	killGroup(cmd.Process)
	_ = cmd.Wait() // how it ended is in the ProcessState
}
