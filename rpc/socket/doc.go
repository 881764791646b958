// Package socket reads and writes connections without telling Go's scheduler. Both sides of the gateway share it.
//
// A system call that may block has to be announced, so that the scheduler can give the processor to another goroutine, and the runtime keeps a
// thread awake that looks for calls that do. A socket of package net never blocks: a call takes a microsecond or two, or finds
// nothing and leaves the waiting to package net's poller. Announcing it is what a process pays most for that mostly waits, such as one
// that relays the tokens of a model.
//
// What package net gives is kept: deadlines, closing from elsewhere, its errors. It knows nothing of what is sent, starts no goroutines and
// owns no connections. Where the system is none that it knows, there are no sockets, and connections are used as they are.
package socket
