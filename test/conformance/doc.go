// Command conformance runs the official MCP conformance suite twice, against a foreign server and against
// Headgate in front of the same server, and reports every check that the gateway loses.
//
// What counts is checks, not scenarios: a scenario that stops early passes with no check made. Every check
// that succeeds directly has to succeed through the gateway; those that may not yet are listed in
// baseline.yml, each with its reason, and the run fails when one of them succeeds.
//
//	go run ./test/conformance                     the table on standard output
//	go run ./test/conformance -o json             every pairing with its checks
//	go run ./test/conformance -write RESULTS.md   the table into a file too
//
// It needs the programs that "make peers" installs. "make conformance" and the package's test call it.
package main
