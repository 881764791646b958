// Package catalog knows what the upstreams offer. It keeps a snapshot of each
// upstream's lists, gives every name a canonical form, merges snapshots into the
// table of an endpoint, pages through it, and says when something changed.
//
// Snapshots are the only cache of lists. Each is drained over all pages through an
// [rpc.Handler], one drain at a time, and served while a newer one is fetched. An
// upstream that is down keeps its last snapshot and never fails a list; a list fails
// only when no upstream has ever answered.
//
// What an upstream lists may depend on what the client can do, so snapshots are kept
// per [Audience]. The catalogue does not call tools, knows no transport and decides
// nothing about access. The router resolves names with it and answers lists from it.
package catalog
