// Package demo is three small MCP servers inside the process, so that a gateway can be tried on a machine that has nothing else. They
// are real servers: each listens on a loopback port of its own, and the gateway reaches them over HTTP like any other.
//
//	demo    legacy era (MCP 2025-11-25), sessions    add, divide, echo
//	clock   modern era (MCP 2026-07-28)              now, wait
//	stream  modern era, answers with event streams   count
//
// They are also the smallest examples of what each era asks of a server: see legacy.go and modern.go. They keep nothing, read no
// file and dial nobody. The command serve starts them for --demo; nothing else calls them.
package demo
