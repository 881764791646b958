// Package pin remembers what upstreams told models when an operator, or the first use, approved of it: the
// definitions of tools and prompts, and a server's instructions. What an upstream lists later is compared with that
// (a "rug pull" changes a tool after it was trusted), and text is searched for what people do not see but models read.
//
// The approved hashes are in a file of the data directory that people can read, compare and commit; what waits for
// approval is in another beside it. What a text means is not judged: that it changed is.
//
// A [Book] serves a running gateway: package gateway makes one and shows it to the catalogue. [Load] and
// [Records.Approve] serve commands, whether a gateway runs or not. Resources are not pinned: they are data, which
// changes.
package pin
