package main

import (
	"runtime"
	"sync"
)

// spareThreads is how many threads a serving process makes before it needs them: one for each child process, whose end a thread
// waits for, and for the system calls of a busy moment.
const spareThreads = 32

// reserveThreads makes threads that wait until the runtime needs some; it never ends one. Where a process may have no thread more
// (RLIMIT_NPROC, the pids of a control group), the runtime ends it as soon as it needs one: what children and neighbours take must
// not cost the gateway its life.
func reserveThreads(n int) {
	var made, gone sync.WaitGroup
	free := make(chan struct{})
	made.Add(n)
	for range n {
		gone.Go(func() {
			runtime.LockOSThread() // each has a thread of its own as long as it does not let go
			made.Done()
			<-free
			runtime.UnlockOSThread()
		})
	}
	made.Wait()
	close(free)
	gone.Wait()
}
