// Package model resolves and dispatches the calls of the inference dialect: it finds the model that an invoke
// means, passes the call to its pool, and answers what is the gateway's own to answer. Pools, jobs, sessions and
// logs are others' parts, which the gateway plugs in. The package knows neither transports nor backends.
package model
