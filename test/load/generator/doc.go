// Package generator calls a tool of MCP servers over and over, on many connections, in either era, and checks every answer.
//
// A Fleet holds the connections; each sends one call after the other over keep-alive and demands of each answer the
// id's bytes, the nonce and the payload it sent, and nothing besides. So that it does not take the processor that is
// to be measured, it speaks HTTP/1.1 on sockets by itself: one write and mostly one read per call, no allocation.
//
// The tool must answer as fake.Echo does: one text block for each string argument, in order. It is no general HTTP
// client: no TLS, no redirects, no proxies. test/load and its benchmark use it, and tests that need many calls checked.
package generator
