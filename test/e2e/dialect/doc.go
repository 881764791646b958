// Package dialect drives the inference dialect as its clients do: one script, over HTTP and over WebSocket, that any
// gateway must pass, whatever is behind it: an engine, or another gateway. Tests call [Session].
//
// Its clients are written from the documentation of the dialect and share no code with the gateway.
package dialect
