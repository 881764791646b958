package main

// heapFloor is how much a serving process lets its heap grow before the garbage
// collector runs. A gateway keeps little and allocates for every call; with a floor
// of the runtime's 4 MiB it would collect many times a second.
const heapFloor = 48 << 20

// reserveHeap counts heapFloor as in use without using it: the pages are never
// touched, so they cost address space and no memory. Unlike a larger GOGC the floor
// does not grow with what idle streams keep. The caller keeps the result alive as
// long as the process serves.
func reserveHeap() []byte { return make([]byte, heapFloor/2) }
