// Package peer knows the foreign programs that Headgate is tested with, MCP clients and servers, an inference engine and its clients,
// proxies, an identity provider: which versions, how they are installed, and how they are started.
//
// They are programs of other projects, installed by "make peers" (the command in test/peer/install) into
// test/.peers, which is not committed. Nothing of them is copied into this repository, and nothing in the
// product depends on them.
//
// The end-to-end tests and the conformance runner call it. A test that needs a peer which is not installed
// fails and says how to install it; only "go test -short" passes over such tests.
//
// It is not a place for servers of our own: those are in test/fake.
package peer
