package policy

import (
	"math"
	"os"
	"path"
	"runtime/metrics"
	"strconv"
	"strings"
)

// What the runtime is asked (package runtime/metrics). None of it stops the world.
const (
	liveHeap   = "/gc/heap/live:bytes" // what the last collection could not free
	allMemory  = "/memory/classes/total:bytes"
	goMemLimit = "/gc/gomemlimit:bytes"
)

// heapClasses are the parts of all memory of which the live heap is what matters: the rest of them can be collected, or
// was given back.
var heapClasses = []string{
	"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes",
	"/memory/classes/heap/free:bytes", "/memory/classes/heap/released:bytes",
}

// memoryInUse returns how much of the memory no collection would give back. All that the process has would be near any
// limit as a matter of course: with a limit, the runtime collects just before it is reached.
func memoryInUse() int64 {
	samples := make([]metrics.Sample, 2, 2+len(heapClasses))
	samples[0].Name, samples[1].Name = liveHeap, allMemory
	for _, name := range heapClasses {
		samples = append(samples, metrics.Sample{Name: name})
	}
	metrics.Read(samples)
	used := int64(samples[0].Value.Uint64() + samples[1].Value.Uint64())
	for _, s := range samples[2:] {
		used -= int64(s.Value.Uint64())
	}
	return used
}

// memoryLimit returns how much memory the process may use, or 0 if that is unknown.
func memoryLimit() int64 {
	samples := []metrics.Sample{{Name: goMemLimit}}
	metrics.Read(samples)
	limit := int64(min(samples[0].Value.Uint64(), math.MaxInt64))
	if n := groupLimit("/proc/self/cgroup", "/sys/fs/cgroup"); n > 0 {
		limit = min(limit, n)
	}
	if limit == math.MaxInt64 {
		return 0
	}
	return limit
}

// groupLimit returns the limit of the control group of the process, or of one around it, whichever is least; 0 if
// there is none. It is read as version 2 of control groups has it (Linux, Control Group v2, memory.max), and as version 1 had it.
func groupLimit(own, root string) int64 {
	text, err := os.ReadFile(own)
	if err != nil {
		return 0
	}
	least := int64(0)
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		folder, file := root, "memory.max"
		switch {
		case parts[1] == "memory":
			folder, file = path.Join(root, "memory"), "memory.limit_in_bytes"
		case parts[1] != "":
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			if n := readLimit(path.Join(folder, group, file)); n > 0 && (least == 0 || n < least) {
				least = n
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}

// readLimit reads a file that holds a number of bytes; what else it may hold means that there is no limit.
func readLimit(file string) int64 {
	const unlimited = 1 << 60 // version 1 writes a number near the largest one
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= unlimited {
		return 0
	}
	return n
}
