// Package takeover lets one process take the place of another on the same machine, with its listening sockets and its state,
// so that no connection is refused or reset: a binary can be replaced by a newer one under load.
//
// Both have the listening sockets, as descriptors that were passed through a unix socket, so that the queues of connections
// that wait to be accepted belong to both. State that one process locks goes from the one to the other in between:
//
//	new: is anybody there?          → old: the sockets
//	new: has checked all it can     → old: stops accepting, finishes its calls, closes its state
//	new: opens the state, accepts   ← old: yours
//	new: I serve                    → old: ends
//
// Whichever ends in the middle, the other one serves: the successor because it has the sockets and the lock is free, the
// predecessor because it keeps the sockets until it is told that it is not needed any more.
//
// Who may take over is who may write to the socket's folder: the socket is its owner's alone, and the other side has to
// be the same user, as far as the system says who that is. The package knows nothing of gateways; the command serve
// uses it.
package takeover
