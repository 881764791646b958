// Package router decides where a call goes. [Router.Resolve] is the middleware that
// finds the [rpc.Target] a call is about; [Router.Handle] ends the chain of policies
// and passes each call to whoever answers its method: the gateway itself, the
// catalogue, the holder of the session, or the upstream that owns the name.
//
// The router knows neither how clients reach the gateway nor how upstreams are
// reached. It is wired by package gateway.
package router
