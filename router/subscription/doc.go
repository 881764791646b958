// Package subscription tells clients what changes: lists, the resources that they have
// subscribed to, and their tasks. A modern client opens a stream for it
// (subscriptions/listen), a legacy one subscribes to resources one by one and hears of
// them on its session's stream. Those subscriptions outlive the process, as the session
// does.
//
// The [Registry] knows who wants to hear of what. What is wanted of each upstream is
// counted and carried there by the upstream's adapter, so that this package need not know
// how upstreams are spoken to, and upstreams are asked once for all clients. Which
// upstream has a resource is the router's to say, and what changed in a list the
// catalogue's.
//
// It is called by the router, and by package gateway with what upstreams tell.
package subscription
