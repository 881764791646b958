// Command conformance runs the official MCP conformance suite twice, against a foreign server and against
// Headgate in front of the same server, and reports every check that the gateway loses.
//
// What counts is checks, not scenarios: a scenario that stops early passes with no check made. Every check
// that succeeds directly has to succeed through the gateway, where client and server are of one era, and where
// the suite is the server and Headgate its client. Across eras the direct run is against a server of the suite's own era;
// what the server behind the gateway does not have for that is listed in baseline.yml, and the run fails when one of those
// checks succeeds.
//
//	go run ./test/conformance                     the table on standard output
//	go run ./test/conformance -o json             every pairing with its checks
//	go run ./test/conformance -write RESULTS.md   the table into a file too
//
// It needs the programs that "make peers" installs. "make conformance" and the package's test call it.
package main
