// Package wire holds the codec of package rpc to foreign readers and to the published
// schemas of the protocol: what it accepts must say the same to Node.js, to
// encoding/json and to a parser of another author; the published test suite for JSON
// parsers must be judged as its files demand; and every request that a schema of the
// protocol allows must be accepted. It holds the edge to reverse proxies: what nginx and
// HAProxy take for a request must be what arrives at the gateway behind them.
//
// It holds tests only. They need Node.js in PATH and the installed peers, and are
// passed over by "go test -short".
package wire
